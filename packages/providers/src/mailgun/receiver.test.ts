import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HookRequest } from '../provider.ts'
import { expectUsable } from '../testing/expect-usable.ts'
import { mutationOf } from '../testing/fuzz.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import signed from './fixtures/signed.json' with { type: 'json' }
import { mailgunReceiver } from './receiver.ts'
import { signMailgun } from './sign.ts'

const HOUR_MS = 60 * 60 * 1000
const SIGNED_AT = new Date('2026-02-12T17:42:56.000Z')

const request = (body: string | Buffer, now = new Date(signed.now)): HookRequest => ({
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(body),
  url: 'https://tidings.example.com/hooks/mailgun/h1',
  now,
})
const verify = (body: string | Buffer, secrets = [signed.secret], now?: Date) =>
  mailgunReceiver.verify(request(body, now), { secrets, topicArns: [] })
const after = (ms: number) => new Date(SIGNED_AT.getTime() + ms)

const VERIFIED = { outcome: 'verified' }
const refused = (reason: string) => ({ outcome: 'refused', reason })

test('verifies a body that Mailgun signed, and reads its event', () => {
  expect(verify(signed.body)).toEqual(VERIFIED)
  expect(mailgunReceiver.read(request(signed.body))).toMatchObject({
    kind: 'events',
    events: [{ outcome: 'report', report: { event_id: '2kFIaaQLuQKTdp-Ia2Xr7w' } }],
  })
})

test.each(['token', 'timestamp', 'signature'])('refuses another %s', (name) => {
  const { [name]: value = '' } = JSON.parse(signed.body).signature as Record<string, string>
  const other = value.slice(0, -1) + (value.endsWith('0') ? '1' : '0')
  expect(verify(signed.body.replace(value, other))).toEqual(refused('signature'))
})

test('refuses digits that move between the time and the token', () => {
  const token = '1'.repeat(50)
  const body = signMailgun(samples.delivered, signed.secret, token, SIGNED_AT)
  const { timestamp } = JSON.parse(body).signature as { timestamp: string }
  for (const [time, rest] of [
    [`${timestamp}1`, token.slice(1)],
    [timestamp.slice(0, -1), `${timestamp.at(-1)}${token}`],
  ] as const) {
    const moved = body.replace(timestamp, time).replace(token, rest)
    expect(verify(moved)).toEqual(refused('missing'))
  }
})

test('cannot see what the signature does not cover: another form of the body passes', () => {
  const parsed = JSON.parse(signed.body) as Record<string, unknown>
  const sorted = { 'event-data': parsed['event-data'], signature: parsed.signature }
  const forged = { ...parsed, 'event-data': { ...samples.complained, recipient: 'ben@example.com' } }
  for (const body of [
    JSON.stringify(parsed),
    JSON.stringify(sorted),
    signed.body.replaceAll('\n', '\r\n'),
    `\ufeff${signed.body}`,
    JSON.stringify(forged),
  ]) {
    expect(verify(body)).toEqual(VERIFIED)
    expect(mailgunReceiver.replayKey?.(request(body))).toBe(mailgunReceiver.replayKey?.(request(signed.body)))
  }
})

test('accepts a time that is written as a number', () => {
  const { signature, ...rest } = JSON.parse(signed.body) as { signature: { timestamp: string } }
  const body = JSON.stringify({
    signature: { ...signature, timestamp: Number(signature.timestamp) },
    ...rest,
  })
  expect(verify(body)).toEqual(VERIFIED)
  expect(mailgunReceiver.replayKey?.(request(body))).toBe(mailgunReceiver.replayKey?.(request(signed.body)))
})

test('gives each signature its own replay key, whatever the hook', () => {
  const keyOf = (token: string, now: Date) =>
    mailgunReceiver.replayKey?.(request(signMailgun(samples.delivered, signed.secret, token, now)))
  const keys = [keyOf('a', SIGNED_AT), keyOf('b', SIGNED_AT), keyOf('a', after(1000))]
  expect(new Set(keys).size).toBe(3)
  expect(mailgunReceiver.replayKey?.(request('{}'))).toBeUndefined()
  expect(mailgunReceiver.replayKey?.(request('no JSON'))).toBeUndefined()
})

test('accepts retries for 9 hours, and remembers a signature for as long as it passes', () => {
  expect(verify(signed.body, undefined, after(9 * HOUR_MS))).toEqual(VERIFIED)
  expect(verify(signed.body, undefined, after(9 * HOUR_MS + 1000))).toEqual(refused('stale'))
  expect(verify(signed.body, undefined, after(-5 * 60 * 1000))).toEqual(VERIFIED)
  expect(verify(signed.body, undefined, after(-5 * 60 * 1000 - 1000))).toEqual(refused('stale'))
  expect(mailgunReceiver.replayWindowMs).toBe(9 * HOUR_MS + 5 * 60 * 1000)
})

test('accepts each secret of a rotation, and no other', () => {
  expect(verify(signed.body, ['new', signed.secret])).toEqual(VERIFIED)
  expect(verify(signed.body, ['key of another hook'])).toEqual(refused('signature'))
  expect(verify(signed.body, [])).toEqual(refused('signature'))
})

test('never accepts an empty secret', () => {
  const body = signMailgun(samples.delivered, '', 'a'.repeat(50), SIGNED_AT)
  expect(verify(body, [''])).toEqual(refused('signature'))
})

test('accepts the signature of the main account for an event of a subaccount', () => {
  const body = JSON.parse(signed.body) as { signature: Record<string, string> }
  const { signature = '' } = body.signature
  body.signature = { ...body.signature, signature: '0'.repeat(64), 'parent-signature': signature }
  expect(verify(JSON.stringify(body))).toEqual(VERIFIED)
  expect(verify(JSON.stringify(body), ['another'])).toEqual(refused('signature'))
})

test.each(['', 'null', '[]', '{}', '{"signature": {}}', 'signature=x&token=y', '\xff'])(
  'refuses a body without a signature: %j',
  (body) => {
    expect(verify(Buffer.from(body, 'latin1'))).toEqual(refused('missing'))
  },
)

test('reads nothing of a verified body without an event', () => {
  expect(mailgunReceiver.read(request('{"signature": {}}'))).toMatchObject({ kind: 'unreadable' })
  expect(mailgunReceiver.read(request('{"event-data": 1}'))).toMatchObject({ kind: 'unreadable' })
})

test('survives any payload: every report can be stored, and is the same when read again', () => {
  fc.assert(
    fc.property(mutationOf(Object.values(samples)), (event) => {
      const body = JSON.stringify({ 'event-data': event })
      const payload = mailgunReceiver.read(request(body))
      expectUsable(payload)
      expect(mailgunReceiver.read(request(body))).toEqual(payload)
    }),
    { numRuns: 2000, seed: 1 },
  )
})

test('survives any bytes and any secrets', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    fc.json().map((json) => Buffer.from(json)),
    mutationOf([JSON.parse(signed.body)]).map((body) => Buffer.from(JSON.stringify(body))),
  )
  fc.assert(
    fc.property(bytes, fc.array(fc.string({ unit: 'binary' })), (body, secrets) => {
      expect(verify(body, secrets)).toMatchObject({ outcome: 'refused' })
      mailgunReceiver.replayKey?.(request(body))
      expectUsable(mailgunReceiver.read(request(body)))
    }),
    { numRuns: 2000, seed: 2 },
  )
})
