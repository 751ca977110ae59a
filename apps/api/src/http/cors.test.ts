import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ORIGIN = 'https://app.example.com'

describe('CORS', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser, { CORS_ORIGINS: `${ORIGIN},https://admin.example.com` })
  })

  const preflight = (origin: string) =>
    fetch(`${api.apiUrl}/api/v1/users/login/`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    })

  it('allows exactly the configured origins', async () => {
    const response = await preflight(ORIGIN)
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(response.headers.get('access-control-allow-credentials')).toBeNull()
    for (const origin of ['https://app.example.com.evil.test', 'http://app.example.com', 'null']) {
      expect((await preflight(origin)).headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  it('lets a browser read failures too', async () => {
    const response = await fetch(`${api.apiUrl}/api/v1/users/me/`, { headers: { origin: ORIGIN } })
    expect(response.status).toBe(401)
    expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(response.headers.get('access-control-expose-headers')).toMatch(/X-Request-Id/i)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })
})
