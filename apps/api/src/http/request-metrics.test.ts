import { useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { attemptLogin, call } from '../testing/http.ts'
import { startTestApi } from '../testing/test-api.ts'

const releaser = useReleaser()

it('metrics tell failed logins, refused credentials and rate limits apart', async () => {
  const api = await startTestApi(releaser, {
    RATE_LIMIT_ENABLED: 'true',
    RATE_LIMIT_LOGIN_PER_ACCOUNT_IP: '2',
  })
  for (const expected of [401, 401, 429]) {
    const reply = await attemptLogin(api.apiUrl, 'nobody@example.com', 'a wrong passphrase')
    expect(reply.status).toBe(expected)
  }
  expect((await call(`${api.apiUrl}/api/v1/users/me/`, { token: 'no-token' })).status).toBe(401)

  const metrics = await (await fetch(`${api.apiUrl}/metrics`)).text()
  const refusals = metrics.match(/^tidings_http_refusals_total\{.+$/gm) ?? []
  for (const [route, error, count] of [
    ['/api/v1/users/login', 'invalid_credentials', 2],
    ['/api/v1/users/login', 'rate_limited', 1],
    ['/api/v1/users/:id', 'unauthorized', 1],
  ])
    expect(refusals).toContainEqual(
      expect.stringMatching(`(?=.*route="${route}")(?=.*error="${error}").* ${count}$`),
    )
  expect(refusals).toHaveLength(3)
})
