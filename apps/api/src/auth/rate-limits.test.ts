import {
  availableBackends,
  createTestBackend,
  describeRedis,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
beforeAll(async () => {
  const variables: Record<string, string> = {
    RATE_LIMIT_ENABLED: 'true',
    TRUSTED_PROXY_HOPS: '1',
    RATE_LIMIT_REGISTER_PER_IP: '20',
    RATE_LIMIT_LOGIN_PER_IP: '100',
  }
  if (availableBackends().includes('redis')) {
    const backend = await createTestBackend('redis', releaser)
    if (backend.kind === 'redis') {
      Object.assign(variables, {
        QUEUE_BACKEND: 'redis',
        REDIS_URL: testRedisUrl(),
        QUEUE_PREFIX: backend.prefix,
      })
    }
  }
  api = await startTestApi(releaser, variables)
})

/** Logs in as seen from `address`: the one proxy that is trusted appends it. */
const logInFrom = (forwardedFor: string, user: { email: string }, password: string) =>
  call(`${api.apiUrl}/api/v1/users/login/`, {
    body: { email: user.email, password },
    headers: { 'x-forwarded-for': forwardedFor },
  })

const tally = (statuses: number[]) => Map.groupBy(statuses, (status) => status)
const countOf = (statuses: number[], status: number) => tally(statuses).get(status)?.length ?? 0

describe('login limits', () => {
  let owner: TestUser
  beforeAll(async () => {
    owner = await register(api.apiUrl)
  })

  it('know an account by one name: no other spelling of it finds the user', async () => {
    const user = await register(api.apiUrl, { email: `ivan.limits@example.com` })
    const spelt = { email: user.email.replace('i', '\u0130') }
    expect((await logInFrom('192.0.2.200', spelt, user.password)).status).toBe(401)
    expect((await logInFrom('192.0.2.200', { email: user.email.toUpperCase() }, user.password)).status).toBe(
      200,
    )
  })

  it('hash at most ten of a thousand guesses from one address, and let the owner in from another', async () => {
    const startedMs = performance.now()
    const statuses: number[] = []
    for (let round = 0; round < 20; round++) {
      const replies = await Promise.all(
        Array.from({ length: 50 }, (_, n) => logInFrom('203.0.113.1', owner, `guess ${round}-${n}`)),
      )
      statuses.push(...replies.map((reply) => reply.status))
    }
    const minutes = 1 + Math.floor((performance.now() - startedMs) / 60_000)
    expect(countOf(statuses, 401)).toBeGreaterThanOrEqual(10)
    expect(countOf(statuses, 401)).toBeLessThanOrEqual(10 * minutes)
    expect(countOf(statuses, 401) + countOf(statuses, 429)).toBe(1_000)
    const reply = await logInFrom('198.51.100.7', owner, owner.password)
    expect(reply.status).toBe(200)
  })

  it('say when to come back', async () => {
    const reply = await logInFrom('203.0.113.1', owner, owner.password)
    expect(reply.status).toBe(429)
    expect(reply.body.error).toBe('rate_limited')
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(reply.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  })

  it('are not escaped by what the caller writes into X-Forwarded-For', async () => {
    const statuses: number[] = []
    for (let n = 0; n < 15; n++) {
      const reply = await logInFrom(`192.0.2.${n}, 203.0.113.77`, owner, 'wrong password')
      statuses.push(reply.status)
    }
    expect(countOf(statuses, 401)).toBe(10)
    expect(countOf(statuses, 429)).toBe(5)
  })

  it('count an address over all accounts', async () => {
    const statuses = await Promise.all(
      Array.from(
        { length: 110 },
        async (_, n) =>
          (await logInFrom('203.0.113.99', { email: `nobody-${n}@example.com` }, 'wrong password')).status,
      ),
    )
    expect(countOf(statuses, 401)).toBe(100)
    expect(countOf(statuses, 429)).toBe(10)
  })

  it('slow an account down that is guessed at from many addresses, and never lock it', async () => {
    const victim = await register(api.apiUrl)
    for (let n = 0; n < 14; n++) await logInFrom(`203.0.114.${n}`, victim, 'wrong password')
    const startedMs = performance.now()
    const reply = await logInFrom('198.51.100.8', victim, victim.password)
    expect(reply.status).toBe(200)
    // 100 ms doubled three times: the 14th wrong password is the fourth beyond the free ones.
    expect(performance.now() - startedMs).toBeGreaterThan(700)
  })
})

describeRedis('the keys of limits', () => {
  it('hold no address and no e-mail', async () => {
    const redis = releaser.add(new Redis(testRedisUrl()), (connection) => connection.disconnect())
    const keys = (await redis.keys('*:limit:*')).join('\n')
    expect(keys).toContain(':limit:login-account-ip:')
    expect(keys).not.toContain('203.0.113')
    expect(keys).not.toContain('@')
  })
})

describe('registration limits', () => {
  it('count by address', async () => {
    const statuses: number[] = []
    for (let n = 0; n < 22; n++) {
      const reply = await call(`${api.apiUrl}/api/v1/users/`, {
        body: { name: 'N', email: `limited-${n}@example.com`, password: 'correct horse battery' },
        headers: { 'x-forwarded-for': '203.0.113.200' },
      })
      statuses.push(reply.status)
    }
    expect(countOf(statuses, 201)).toBe(20)
    expect(countOf(statuses, 429)).toBe(2)
  })
})
