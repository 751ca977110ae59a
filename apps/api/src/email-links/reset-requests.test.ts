import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../testing/email-links.ts'
import { register } from '../testing/http.ts'
import { Mailbox } from '../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()

const countRows = async ({ database }: TestApi) =>
  Number((await database.pool.query('SELECT count(*) FROM outbound_messages')).rows[0].count)

describe('requests for a password reset', () => {
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser)
  })

  it('get the same answer and cause the same row, whether or not the address is known', async () => {
    const { email } = await register(api.apiUrl)
    const { requestReset } = emailLinks(api.apiUrl)
    const before = await countRows(api)
    const [known, unknown] = [await requestReset(email), await requestReset('nobody@example.com')]
    expect([known.status, unknown.status]).toEqual([202, 202])
    expect(known.text).toBe(unknown.text)
    expect(await countRows(api)).toBe(before + 2)
    const mailbox = new Mailbox(api.database)
    expect(await mailbox.kindsTo(email)).toContain('password_reset')
    expect(await mailbox.kindsTo('nobody@example.com')).toEqual([])
  })

  it('take equally long whether or not the address is known', async () => {
    const { requestReset } = emailLinks(api.apiUrl)
    const users = await Promise.all(Array.from({ length: 20 }, () => register(api.apiUrl)))
    async function time(email: string): Promise<number> {
      const startedMs = performance.now()
      expect((await requestReset(email)).status).toBe(202)
      return performance.now() - startedMs
    }
    const median = (samples: readonly number[]) => samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? 0
    const known: number[] = []
    const unknown: number[] = []
    async function measure(samples: number) {
      for (let n = 0; n < samples; n++) {
        const address = users[n % users.length]?.email ?? ''
        const ofKnown = async () => known.push(await time(address))
        const ofUnknown = async () => unknown.push(await time(address.replace('person', 'nobody')))
        // Alternate which comes first, too: whatever slows the machine then slows both.
        for (const step of n % 2 === 0 ? [ofKnown, ofUnknown] : [ofUnknown, ofKnown]) await step()
      }
      const medians = { known: median(known), unknown: median(unknown) }
      return { samples: known.length, ...medians, ratio: medians.known / medians.unknown }
    }
    await measure(50)
    known.length = unknown.length = 0
    // On a busy machine 200 samples may differ by chance. A difference in work stays when samples are added.
    const measured = [await measure(200)]
    const isEqual = () => Math.abs(1 - (measured.at(-1)?.ratio ?? 0)) <= 0.05
    for (const more of [400, 800, 1_600]) if (!isEqual()) measured.push(await measure(more))
    expect(isEqual(), JSON.stringify(measured)).toBe(true)
  })

  it('send an account at most one mail a minute, also when the limits are off', async () => {
    const { email } = await register(api.apiUrl)
    const { requestReset } = emailLinks(api.apiUrl)
    const mailbox = new Mailbox(api.database)
    const sendFive = () => Promise.all(Array.from({ length: 5 }, () => requestReset(email)))
    const countResets = async () =>
      (await mailbox.kindsTo(email)).filter((kind) => kind === 'password_reset').length
    await sendFive()
    expect(await countResets()).toBe(1)
    await mailbox.age(2)
    await sendFive()
    expect(await countResets()).toBe(2)
  })
})

describeBackends('limited requests for a password reset', (kind) => {
  async function startLimited(perIp: number): Promise<TestApi> {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend(kind, releaser, database) }
    const limits = { RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_PASSWORD_RESET_PER_IP: String(perIp) }
    return startTestApi(releaser, limits, stores)
  }
  const sendMany = async (api: TestApi, count: number, address: (n: number) => string) => {
    const { requestReset } = emailLinks(api.apiUrl)
    const replies = []
    for (let first = 0; first < count; first += 50)
      replies.push(
        ...(await Promise.all(Array.from({ length: 50 }, (_, n) => requestReset(address(first + n))))),
      )
    return replies
  }

  it('write one message for 1,000 requests for one address, and answer all the same', async () => {
    const api = await startLimited(10_000)
    const { email } = await register(api.apiUrl)
    const before = await countRows(api)
    for (const address of [email, 'nobody@example.com']) {
      const replies = await sendMany(api, 1_000, () => address)
      expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
      expect(replies[0]?.status).toBe(202)
    }
    expect(await countRows(api)).toBe(before + 2)
    const mailbox = new Mailbox(api.database)
    expect(await mailbox.kindsTo(email)).toEqual(['email_verification', 'password_reset'])
  })

  it('refuse most of 1,000 addresses from one client with 429', async () => {
    const api = await startLimited(30)
    const replies = await sendMany(api, 1_000, (n) => `person-${n}@example.com`)
    const accepted = replies.filter(({ status }) => status === 202)
    const refused = replies.filter(({ status }) => status === 429)
    expect([accepted.length, refused.length]).toEqual([30, 970])
    for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await countRows(api)).toBe(30)
  })
})
