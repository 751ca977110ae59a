import type { RedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { attemptLogin, call, logIn, readMe, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

describeRedis('while Redis is unreachable', () => {
  const releaser = useReleaser()
  let redis: RedisServer
  let api: TestApi
  beforeAll(async () => {
    redis = await startTestRedis(releaser)
    api = await startTestApi(
      releaser,
      { RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_LOGIN_PER_ACCOUNT_IP: '5' },
      { backend: { kind: 'redis', url: redis.url, prefix: 'away' } },
    )
  })

  const me = (token: string) => readMe(api.apiUrl, token)
  const ready = () =>
    waitFor('the API to be ready', async () => (await fetch(`${api.apiUrl}/health/ready`)).ok)

  it('users can read, change, register, log in and log out, limits still count, and Redis is used again later', async () => {
    const warm = await register(api.apiUrl)
    const cold = await register(api.apiUrl)
    expect((await me(warm.token)).status).toBe(200)
    await redis.kill9()

    expect((await me(warm.token)).status).toBe(200)
    expect((await me(cold.token)).status).toBe(200)
    const change = await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'PATCH',
      token: warm.token,
      body: { name: 'Changed Meanwhile' },
    })
    expect(change.status).toBe(200)
    expect((await me(warm.token)).body.data).toMatchObject({ name: 'Changed Meanwhile' })
    const fresh = await register(api.apiUrl)
    await logIn(api.apiUrl, fresh.email, fresh.password)
    const guesses: number[] = []
    for (let n = 0; n < 8; n++)
      guesses.push((await attemptLogin(api.apiUrl, cold.email, 'wrong password')).status)
    expect(guesses).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
    const ended = await call(`${api.apiUrl}/api/v1/auth/logout/`, { method: 'POST', token: fresh.token })
    expect(ended.status).toBe(200)
    expect((await me(fresh.token)).status).toBe(401)

    await redis.start()
    await ready()
    expect((await me(warm.token)).body.data).toMatchObject({ name: 'Changed Meanwhile' })
    expect((await me(fresh.token)).status).toBe(401)
  })

  it('an erasure answers 503 and changes nothing, and the same token can ask again', async () => {
    const user = await register(api.apiUrl)
    const erase = () => call(`${api.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token })
    await redis.kill9()
    expect((await erase()).status).toBe(503)
    expect((await me(user.token)).body.data).toMatchObject({ email: user.email })

    await redis.start()
    await ready()
    expect((await erase()).status).toBe(200)
    expect((await me(user.token)).status).toBe(401)
  })

  it('reads are answered while Redis is frozen', async () => {
    const users = [await register(api.apiUrl), await register(api.apiUrl), await register(api.apiUrl)]
    redis.freeze()
    try {
      for (const { token } of users) {
        const startedMs = performance.now()
        expect((await me(token)).status).toBe(200)
        expect(performance.now() - startedMs).toBeLessThan(8_000)
      }
    } finally {
      redis.thaw()
    }
  })
})
