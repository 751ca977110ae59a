import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ORIGIN = 'https://app.example.com'

describe('CORS', () => {
  const releaser = useReleaser()
  let open: TestApi
  let closed: TestApi
  beforeAll(async () => {
    open = await startTestApi(releaser, { CORS_ORIGINS: `${ORIGIN},https://admin.example.com` })
    closed = await startTestApi(releaser)
  })

  const preflight = (api: TestApi, origin: string) =>
    fetch(`${api.apiUrl}/api/v1/users/login/`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    })

  it('is off unless origins are named', async () => {
    const response = await preflight(closed, ORIGIN)
    expect(response.status).toBe(405)
    expect(response.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('allows exactly the origins that are named', async () => {
    const response = await preflight(open, ORIGIN)
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(response.headers.get('access-control-allow-credentials')).toBeNull()
    for (const origin of ['https://app.example.com.evil.test', 'http://app.example.com', 'null']) {
      expect((await preflight(open, origin)).headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  it('tells a browser about failures too', async () => {
    const response = await fetch(`${open.apiUrl}/api/v1/users/me/`, { headers: { origin: ORIGIN } })
    expect(response.status).toBe(401)
    expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(response.headers.get('access-control-expose-headers')).toMatch(/X-Request-Id/i)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })
})
