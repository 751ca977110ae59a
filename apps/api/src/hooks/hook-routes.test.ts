import { gzipSync } from 'node:zlib'
import { revokeHook } from '@tidings/db/operators/hooks'
import { PROVIDERS, type Provider } from '@tidings/providers/provider'
import type { SimulatedRequest } from '@tidings/providers/simulated'
import { digestRecipient } from '@tidings/shared/recipient'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it, test } from 'vitest'
import { startTestApi, TEST_RECIPIENT_KEY, type TestApi } from '../testing/test-api.ts'
import {
  HOOK_VARIABLES,
  makeHook,
  postToHook,
  signEvents,
  signRequest,
  simulateEvents,
  type TestHook,
} from '../testing/test-hooks.ts'

const typeOf = (provider: Provider) => (provider === 'twilio' ? 'push' : 'email')
const HOUR_MS = 60 * 60 * 1000

describe('POST /hooks/{provider}/{hook_id}', () => {
  const releaser = useReleaser()
  let api: TestApi
  const hooks = {} as Record<Provider, TestHook>
  beforeAll(async () => {
    api = await startTestApi(releaser, HOOK_VARIABLES)
    for (const provider of PROVIDERS) hooks[provider] = await makeHook(api.database, provider)
  })

  const post = (request: SimulatedRequest) => postToHook(api.apiUrl, request)
  const statusOf = async (request: SimulatedRequest) => (await post(request)).status
  const queuedFrom = async ({ name }: TestHook) =>
    (await api.listQueuedItems()).filter((item) => item.source === name)

  describe.each(PROVIDERS)('%s', (provider) => {
    it('accepts a signed event, which names its notification, its message and its recipient', async () => {
      const hook = await makeHook(api.database, provider)
      const request = signRequest(hook, { notificationId: 'order-7', outcome: 'delivered' })
      const answer = await post(request)
      expect([answer.status, await answer.json()]).toMatchObject([
        200,
        { data: { accepted: 1, ignored: 0, invalid: 0 } },
      ])
      const address = provider === 'twilio' ? '+15005550006' : 'ada@example.com'
      expect(await queuedFrom(hook)).toMatchObject([
        {
          notification_id: 'order-7',
          notification_type: typeOf(provider),
          status: 'delivered',
          source: hook.name,
          provider,
          provider_message_id: expect.any(String),
          event_id: expect.any(String),
          recipient_digest: digestRecipient(TEST_RECIPIENT_KEY, typeOf(provider), address),
          feedback: expect.any(String),
        },
      ])
      expect(JSON.stringify(await queuedFrom(hook))).not.toContain(address)
    })

    it('takes a request with a slash at the end of the path, and repeats without a second event', async () => {
      const hook = await makeHook(api.database, provider)
      const request = signRequest({ ...hook, path: `${hook.path}/` })
      expect(await statusOf(request)).toBe(200)
      expect(await statusOf(request)).toBe(200)
      const ids = (await queuedFrom(hook)).map((item) => 'id' in item && item.id)
      expect(new Set(ids).size).toBe(1)
    })

    it('refuses the key of another hook, and no signature at all, and queues nothing', async () => {
      const hook = await makeHook(api.database, provider)
      const other = await makeHook(api.database, provider)
      const forged = signRequest({ ...hook, secret: other.secret })
      expect(await statusOf(forged)).toBe(401)
      expect(await statusOf({ ...forged, headers: {} })).toBe(401)
      expect(await queuedFrom(hook)).toEqual([])
    })

    it('has no hook under another provider, under another id, or of an unusable id', async () => {
      const request = signRequest(hooks[provider])
      const elsewhere = (path: string) =>
        statusOf({ ...request, url: request.url.replace(hooks[provider].path, path) })
      const other = provider === 'ses' ? 'twilio' : 'ses'
      for (const path of [
        `/hooks/${other}/${hooks[provider].id}`,
        `/hooks/unknown/${hooks[provider].id}`,
        `/hooks/${provider}/${'0'.repeat(32)}`,
        `/hooks/${provider}/${hooks[provider].id.toUpperCase()}x`,
        `/hooks/${provider}/%00`,
        `/hooks/${provider}/..%2f..`,
      ])
        expect([path, await elsewhere(path)]).toEqual([path, 404])
    })

    it('refuses a compressed body, and one that is too large', async () => {
      const { headers, body, url } = signRequest(hooks[provider])
      const compressed = { url, body: gzipSync(body), headers: { ...headers, 'content-encoding': 'gzip' } }
      expect(await statusOf(compressed)).toBe(415)
      expect(await statusOf({ url, headers, body: Buffer.alloc(1024 * 1024 + 1, ' ') })).toBe(413)
    })
  })

  /** What each does with a body that was changed on the way. Only what a signature covers can be checked. */
  const CHANGES: Record<string, (body: Buffer) => Buffer> = {
    'one byte changed': (body) => Buffer.from(body.toString().replace('order-9', 'order-8')),
    're-serialised': (body) => Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 1)),
    'with other key order': (body) => Buffer.from(JSON.stringify(reversed(JSON.parse(body.toString())))),
    'with a byte order mark': (body) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), body]),
    'with CRLF at the end': (body) => Buffer.concat([body, Buffer.from('\r\n')]),
  }
  const RAW_BYTES = [401, 401, 401, 401, 401]
  /** SNS signs the members, not the bytes. Postmark and Mailgun sign none of the event. */
  const MEMBERS = [401, 200, 200, 200, 200]
  const NOTHING_OF_THE_BODY = [200, 200, 200, 200, 200]

  test.each([
    ['sendgrid', RAW_BYTES],
    ['resend', RAW_BYTES],
    ['ses', MEMBERS],
    ['postmark', NOTHING_OF_THE_BODY],
    ['mailgun', NOTHING_OF_THE_BODY],
  ] as const)('%s answers changed bodies as its signature allows', async (provider, expected) => {
    const statuses: number[] = []
    for (const change of Object.values(CHANGES)) {
      const request = signRequest(hooks[provider], { notificationId: 'order-9' })
      statuses.push(await statusOf({ ...request, body: change(request.body) }))
    }
    expect(Object.keys(CHANGES).map((name, index) => [name, statuses[index]])).toEqual(
      Object.keys(CHANGES).map((name, index) => [name, expected[index]]),
    )
  })

  it('refuses a form of Twilio with another value, and another URL', async () => {
    const { url, headers, body } = signRequest(hooks.twilio, { notificationId: 'order-9' })
    const changed = Buffer.from(body.toString().replace('delivered', 'failed'))
    expect(await statusOf({ url, headers, body: changed })).toBe(401)
    expect(await statusOf({ url: url.replace('order-9', 'order-8'), headers, body })).toBe(401)
    expect(await statusOf({ url, headers, body })).toBe(200)
  })

  it.each([
    ['sendgrid', 26 * HOUR_MS],
    ['ses', 26 * HOUR_MS],
    ['mailgun', 10 * HOUR_MS],
    ['resend', HOUR_MS],
  ] as const)('refuses an old request of %s', async (provider, ageMs) => {
    expect(await statusOf(signRequest(hooks[provider], { now: new Date(Date.now() - ageMs) }))).toBe(401)
  })

  it('takes one body only with a signature of Mailgun, which does not cover it', async () => {
    const hook = await makeHook(api.database, 'mailgun')
    const request = signRequest(hook, { notificationId: 'order-9' })
    expect(await statusOf(request)).toBe(200)
    const forged = { ...request, body: Buffer.from(request.body.toString().replaceAll('order-9', 'order-8')) }
    const answer = await post(forged)
    expect([answer.status, await answer.json()]).toMatchObject([200, { data: { accepted: 0 } }])
    expect(await queuedFrom(hook)).toMatchObject([{ notification_id: 'order-9' }])
  })

  it('takes the good events of a payload, and makes one dead letter of the bad one', async () => {
    const hook = await makeHook(api.database, 'sendgrid')
    const request = signEvents(hook, [
      ...simulateEvents(hook, { notificationId: 'a' }),
      { event: 'delivered', sg_event_id: 'no message and no notification' },
      { event: 'a type of tomorrow', sg_event_id: 'x', sg_message_id: 'y.z' },
      ...simulateEvents(hook, { notificationId: 'b' }),
    ])
    const answer = await post(request)
    expect([answer.status, await answer.json()]).toMatchObject([
      200,
      { data: { accepted: 2, ignored: 1, invalid: 1 } },
    ])
    expect(await queuedFrom(hook)).toMatchObject([
      { notification_id: 'a' },
      { unreadable: expect.any(String), provider: 'sendgrid', payload: { event: 'delivered' } },
      { notification_id: 'b' },
    ])
  })

  it('makes one dead letter of a signed body that it cannot read', async () => {
    const hook = await makeHook(api.database, 'sendgrid')
    expect(await statusOf(signEvents(hook, { not: 'an array' } as unknown as unknown[]))).toBe(200)
    expect(await queuedFrom(hook)).toMatchObject([
      { unreadable: 'The body is no array of events.', payload: '{"not":"an array"}' },
    ])
  })

  it('takes more events than an envelope holds', async () => {
    const hook = await makeHook(api.database, 'sendgrid')
    expect(await statusOf(signRequest(hook, { events: 1_100 }))).toBe(200)
    expect(await queuedFrom(hook)).toHaveLength(1_100)
  })

  it('does not look at other credentials', async () => {
    const request = signRequest(hooks.resend)
    expect(
      await statusOf({ ...request, headers: { ...request.headers, authorization: 'Bearer nonsense' } }),
    ).toBe(200)
  })

  it('counts events, ignored types and refusals by provider, and no text of an attacker', async () => {
    const hook = await makeHook(api.database, 'sendgrid')
    const types = Array.from({ length: 80 }, (_, index) => ({ event: `type-${index}`, sg_message_id: 'a.b' }))
    await post(signEvents(hook, types))
    await post({ ...signRequest(hook), headers: {} })
    const metrics = await (await fetch(`${api.apiUrl}/metrics`)).text()
    expect(metrics).toMatch(/tidings_hook_events_total\{provider="sendgrid",outcome="accepted",.*\} \d{4}/)
    expect(metrics).toMatch(/tidings_hook_refusals_total\{provider="sendgrid",reason="missing",/)
    expect(metrics).toMatch(/tidings_hook_refusals_total\{provider="mailgun",reason="replayed",/)
    expect(metrics).toMatch(/event_type="other"/)
    expect(metrics.match(/tidings_hook_ignored_events_total\{/g)?.length).toBeLessThanOrEqual(51)
  })

  it('answers 404 soon after a hook was revoked', async () => {
    const hook = await makeHook(api.database, 'postmark')
    await revokeHook(api.database, hook.id, {
      actor: 'test',
      action: 'hooks.revoke',
      selector: {},
      matched: 1,
      changed: 1,
      result: 'revoked',
    })
    expect(await statusOf(signRequest(hook))).toBe(404)
  })

  it('answers 503 for a hook whose secrets another key encrypted, and still takes hooks without secrets', async () => {
    const replica = await startTestApi(
      releaser,
      { ...HOOK_VARIABLES, HOOK_SECRETS_KEY: 'x'.repeat(32) },
      {
        database: api,
        backend: api.backend,
      },
    )
    const answer = await postToHook(replica.apiUrl, signRequest(hooks.resend))
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect((await postToHook(replica.apiUrl, signRequest(hooks.sendgrid))).status).toBe(200)
  })
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  )
}
