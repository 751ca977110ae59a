import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { call, readMe, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const documentSchema = z.object({
  paths: z.record(
    z.string(),
    z.record(z.string(), z.object({ security: z.array(z.record(z.string(), z.unknown())) })),
  ),
})

describe('an unknown query parameter', () => {
  const releaser = useReleaser()
  let api: TestApi
  let user: TestUser
  let key: string
  let routes: { method: string; path: string; token: string | undefined }[]
  beforeAll(async () => {
    api = await startTestApi(releaser)
    user = await register(api.apiUrl)
    key = await api.createKey()
    const { paths } = documentSchema.parse(await (await fetch(`${api.apiUrl}/openapi.json`)).json())
    routes = Object.entries(paths)
      .filter(([path]) => path.startsWith('/api/v1/'))
      .flatMap(([path, operations]) =>
        Object.entries(operations)
          .filter(([method]) => ['get', 'delete'].includes(method))
          .map(([method, { security }]) => ({
            method: method.toUpperCase(),
            path: path.replace(/\{\w+\}/g, user.id),
            token:
              security.length === 0 ? undefined : security.some((each) => 'user' in each) ? user.token : key,
          })),
      )
  })

  const send = ({ method, path }: (typeof routes)[number], token?: string, query = 'no_such_filter=1') =>
    call(`${api.apiUrl}${path}?${query}`, { method, token })

  it('is refused by every GET and DELETE route, by name, and changes nothing', async () => {
    expect(routes.length).toBeGreaterThan(5)
    for (const route of routes) {
      const { status, body } = await send(route, route.token)
      expect([route, status, body]).toMatchObject([
        route,
        400,
        { error: 'validation_failed', errors: [{ pointer: '/no_such_filter', code: 'unrecognized_keys' }] },
      ])
    }
    expect((await readMe(api.apiUrl, user.token)).status).toBe(200)
  })

  it('is not what a caller without access hears of', async () => {
    for (const route of routes.filter(({ token }) => token !== undefined))
      expect([route, (await send(route)).status]).toEqual([route, 401])
  })

  it('is refused beside a known one, in any spelling of the path', async () => {
    const { status, body } = await call(`${api.apiUrl}/api/v1/users?limit=1&offset=2`, { token: key })
    expect([status, body.errors?.map(({ pointer }) => pointer)]).toEqual([400, ['/offset']])
    expect((await call(`${api.apiUrl}/api/v1/users/?limit=1`, { token: key })).status).toBe(200)
    expect((await call(`${api.apiUrl}/api/v1/users/me/?`, { token: user.token })).status).toBe(200)
  })

  it('is ignored by the health routes: a probe may add one', async () => {
    expect((await call(`${api.apiUrl}/health?probe=1`)).status).toBe(200)
  })
})
