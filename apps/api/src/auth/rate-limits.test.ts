import { openRedis } from '@tidings/queue/open-redis'
import {
  availableBackends,
  createTestBackend,
  describeRedis,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { listKeys, openTestRedis } from '../testing/test-redis.ts'
import { createRateLimits, delayMsAfter } from './rate-limits.ts'

const LOGINS_PER_IP = 40
const REGISTRATIONS_PER_IP = 20

const releaser = useReleaser()
let api: TestApi
beforeAll(async () => {
  const variables = {
    RATE_LIMIT_ENABLED: 'true',
    TRUSTED_PROXY_HOPS: '1',
    RATE_LIMIT_REGISTER_PER_IP: String(REGISTRATIONS_PER_IP),
    RATE_LIMIT_LOGIN_PER_IP: String(LOGINS_PER_IP),
  }
  const stores = availableBackends().includes('redis')
    ? { backend: await createTestBackend('redis', releaser) }
    : {}
  api = await startTestApi(releaser, variables, stores)
})

/** Logs in from an address: the one trusted proxy appends it to the header. */
const logInFrom = (forwardedFor: string, user: { email: string }, password: string) =>
  call(`${api.apiUrl}/api/v1/users/login/`, {
    body: { email: user.email, password },
    headers: { 'x-forwarded-for': forwardedFor },
  })

const countOf = (statuses: number[], status: number) => statuses.filter((found) => found === status).length

/** The statuses of this many concurrent requests. */
const statusesOf = async (count: number, send: (n: number) => Promise<{ status: number }>) =>
  (await Promise.all(Array.from({ length: count }, (_, n) => send(n)))).map(({ status }) => status)

describe('login limits', () => {
  let owner: TestUser
  beforeAll(async () => {
    owner = await register(api.apiUrl)
  })

  it('count an account by one spelling: no other spelling of the address finds the user', async () => {
    const user = await register(api.apiUrl, { email: 'ivan.limits@example.com' })
    const dotted = { email: user.email.replace('i', '\u0130') }
    expect((await logInFrom('192.0.2.200', dotted, user.password)).status).toBe(401)
    const upper = { email: user.email.toUpperCase() }
    expect((await logInFrom('192.0.2.200', upper, user.password)).status).toBe(200)
  })

  it('hash ten of two hundred guesses from one address, and let the owner in from another', async () => {
    const startedMs = performance.now()
    const statuses: number[] = []
    for (let round = 0; round < 4; round++)
      statuses.push(...(await statusesOf(50, (n) => logInFrom('203.0.113.1', owner, `guess ${round}-${n}`))))
    const minutes = 1 + Math.floor((performance.now() - startedMs) / 60_000)
    expect(countOf(statuses, 401)).toBeGreaterThanOrEqual(10)
    expect(countOf(statuses, 401)).toBeLessThanOrEqual(10 * minutes)
    expect(countOf(statuses, 401) + countOf(statuses, 429)).toBe(200)
    expect((await logInFrom('198.51.100.7', owner, owner.password)).status).toBe(200)
  })

  it('say when to try again', async () => {
    const reply = await logInFrom('203.0.113.1', owner, owner.password)
    expect([reply.status, reply.body.error]).toEqual([429, 'rate_limited'])
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(reply.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  })

  it('ignore addresses that the caller writes into X-Forwarded-For', async () => {
    const user = await register(api.apiUrl)
    const statuses: number[] = []
    for (let n = 0; n < 15; n++)
      statuses.push((await logInFrom(`192.0.2.${n}, 203.0.113.77`, user, 'wrong password')).status)
    expect(countOf(statuses, 401)).toBe(10)
    expect(countOf(statuses, 429)).toBe(5)
  })

  it('count an address over all accounts', async () => {
    const statuses = await statusesOf(LOGINS_PER_IP + 10, (n) =>
      logInFrom('203.0.113.99', { email: `nobody-${n}@example.com` }, 'wrong password'),
    )
    expect(countOf(statuses, 401)).toBe(LOGINS_PER_IP)
    expect(countOf(statuses, 429)).toBe(10)
  })

  it('answer thirty of a thousand guesses from a hundred addresses, and let the owner in at home', async () => {
    const victim = await register(api.apiUrl)
    const home = '198.51.100.20'
    expect((await logInFrom(home, victim, victim.password)).status).toBe(200)
    const statuses: number[] = []
    for (let round = 0; round < 10; round++)
      statuses.push(...(await statusesOf(100, (n) => logInFrom(`203.0.115.${n}`, victim, `guess ${round}`))))
    expect(countOf(statuses, 401)).toBe(30)
    expect(countOf(statuses, 429)).toBe(970)

    const elsewhere = await logInFrom('198.51.100.21', victim, victim.password)
    expect([elsewhere.status, elsewhere.body.error]).toEqual([429, 'rate_limited'])
    expect(Number(elsewhere.headers.get('retry-after'))).toBeLessThanOrEqual(3_600)
    expect((await logInFrom(home, victim, 'mistyped')).status).toBe(401)
    expect((await logInFrom(home, victim, victim.password)).status).toBe(200)
    const changed = await call(`${api.apiUrl}/api/v1/users/me/password/`, {
      token: victim.token,
      body: { current_password: victim.password, new_password: 'another good one 9' },
    })
    expect(changed.status, changed.text).toBe(200)
  })

  it('count wrong passwords only', async () => {
    const user = await register(api.apiUrl)
    const statuses: number[] = []
    for (let n = 0; n < 35; n++)
      statuses.push((await logInFrom(`203.0.116.${n}`, user, user.password)).status)
    expect(countOf(statuses, 200)).toBe(35)
  })

  it('count the addresses of a /56 together, for one account and for all', async () => {
    const user = await register(api.apiUrl)
    const ofOne = await statusesOf(20, (n) =>
      logInFrom(`2001:db8:0:a${n % 10}::${n}`, user, 'wrong password'),
    )
    expect([countOf(ofOne, 401), countOf(ofOne, 429)]).toEqual([10, 10])
    const ofAll = await statusesOf(8 * LOGINS_PER_IP + 10, (n) =>
      logInFrom(
        `2001:db8:1:${(n % 256).toString(16)}::1`,
        { email: `v6-${n}@example.com` },
        'wrong password',
      ),
    )
    expect([countOf(ofAll, 401), countOf(ofAll, 429)]).toEqual([8 * LOGINS_PER_IP, 10])
  })

  it('delay an account after failed logins from many addresses', async () => {
    const victim = await register(api.apiUrl)
    await statusesOf(12, (n) => logInFrom(`203.0.114.${n}`, victim, 'wrong password'))
    const startedMs = performance.now()
    const reply = await logInFrom('198.51.100.8', victim, victim.password)
    expect(reply.status).toBe(200)
    // A timer may fire a millisecond early.
    expect(performance.now() - startedMs).toBeGreaterThan(delayMsAfter(12) - 2)
  })

  it.each([
    [11, 100],
    [12, 200],
    [14, 800],
    [16, 2_000],
    [10_000, 2_000],
  ])('after %i failed logins delay by %i ms', (failed, delayMs) => {
    expect(delayMsAfter(failed)).toBe(delayMs)
  })
})

describeRedis('the keys of limits', () => {
  it('contain no address and no e-mail', async () => {
    const redis = releaser.add(
      openRedis({ url: testRedisUrl() }, 'patient', () => {}),
      (connection) => connection.disconnect(),
    )
    await redis.ping()
    const keys = (await listKeys(redis, '*:limit:*')).join('\n')
    expect(keys).toContain(':limit:login-account-ip:')
    expect(keys).not.toContain('203.0.113')
    expect(keys).not.toContain('@')
  })
})

describeRedis('a blocked address', () => {
  it('writes no keys, whichever accounts it names', async () => {
    const { connection, prefix } = await openTestRedis(releaser)
    const limits = createRateLimits({
      enabled: true,
      redis: { connection, prefix },
      loginsPerMinutePerIp: 1,
      loginsPerMinutePerAccountIp: 10,
      wrongPasswordsPerHourPerAccount: 10,
      registrationsPerHourPerIp: 10,
      refreshesPerMinutePerIp: 10,
      exportsPerHourPerUser: 1,
      erasuresPerHourPerIp: 10,
      passwordResetsPerHourPerIp: 10,
      emailChangesPerHourPerUser: 10,
    })
    const isNot = async () => false
    const tryLogin = (n: number) =>
      limits.limitLogin(
        { account: `person-${n}@example.com`, address: '203.0.113.50', isFamiliar: isNot },
        isNot,
      )
    await tryLogin(0)
    const before = await listKeys(connection, `${prefix}:limit:*`)
    expect(before).toHaveLength(3)
    for (let n = 1; n <= 20; n++) await expect(tryLogin(n)).rejects.toMatchObject({ code: 'rate_limited' })
    expect(await listKeys(connection, `${prefix}:limit:*`)).toEqual(before)
  })
})

describe('registration limits', () => {
  it('count by address', async () => {
    const statuses = await statusesOf(REGISTRATIONS_PER_IP + 2, (n) =>
      call(`${api.apiUrl}/api/v1/users/`, {
        body: { name: 'N', email: `limited-${n}@example.com`, password: 'correct horse battery' },
        headers: { 'x-forwarded-for': '203.0.113.200' },
      }),
    )
    expect(countOf(statuses, 201)).toBe(REGISTRATIONS_PER_IP)
    expect(countOf(statuses, 429)).toBe(2)
  })
})
