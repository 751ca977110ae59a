import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HookRequest } from '../provider.ts'
import { expectUsable } from '../testing/expect-usable.ts'
import { mutationOf } from '../testing/fuzz.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import signed from './fixtures/signed.json' with { type: 'json' }
import { resendReceiver } from './receiver.ts'
import { signResend } from './sign.ts'

const SIGNED_AT = new Date(Number(signed.headers['svix-timestamp']) * 1000)
const OTHER_SECRET = `whsec_${Buffer.from('the secret of another hook').toString('base64')}`

const request = (change: Partial<HookRequest> = {}): HookRequest => ({
  headers: signed.headers,
  body: Buffer.from(signed.body),
  url: 'https://tidings.example.com/hooks/resend/h1',
  now: new Date(signed.now),
  ...change,
})
const verify = (change?: Partial<HookRequest>, secrets = [signed.secret]) =>
  resendReceiver.verify(request(change), { secrets, topicArns: [] })
const withHeaders = (change: HookRequest['headers']) => ({ headers: { ...signed.headers, ...change } })
const after = (seconds: number) => new Date(SIGNED_AT.getTime() + seconds * 1000)

const VERIFIED = { outcome: 'verified' }
const refused = (reason: string) => ({ outcome: 'refused', reason })

test('verifies a request that Resend signed, and reads its event', () => {
  expect(verify()).toEqual(VERIFIED)
  expect(resendReceiver.read(request())).toMatchObject({
    kind: 'events',
    events: [{ outcome: 'report', report: { event_id: signed.headers['svix-id'], status: 'bounced' } }],
  })
})

test("accepts the standard's names of the headers", () => {
  const headers = {
    'webhook-id': signed.headers['svix-id'],
    'webhook-timestamp': signed.headers['svix-timestamp'],
    'webhook-signature': signed.headers['svix-signature'],
  }
  expect(verify({ headers })).toEqual(VERIFIED)
})

test('refuses every other form of the body', () => {
  const parsed = JSON.parse(signed.body) as Record<string, unknown>
  for (const body of [
    signed.body.replace('Permanent', 'permanent'),
    JSON.stringify(parsed),
    JSON.stringify({ data: parsed.data, type: parsed.type, created_at: parsed.created_at }),
    `\ufeff${signed.body}`,
    `${signed.body}\r\n`,
    signed.body.replaceAll(', ', ',\r\n'),
    '',
  ])
    expect(verify({ body: Buffer.from(body) })).toEqual(refused('signature'))
})

test('covers the bytes, not their reading as text', () => {
  const body = Buffer.from([0x7b, 0xff, 0x7d])
  const headers = signResend(body, signed.secret, 'msg_1', SIGNED_AT)
  expect(verify({ body, headers })).toEqual(VERIFIED)
  expect(verify({ body: Buffer.from(body.toString()), headers })).toEqual(refused('signature'))
})

test('reads nothing of a verified body that is no JSON', () => {
  expect(resendReceiver.read(request({ body: Buffer.from([0x7b, 0xff, 0x7d]) }))).toMatchObject({
    kind: 'unreadable',
  })
  expect(resendReceiver.read(request({ body: Buffer.from('{') }))).toMatchObject({ kind: 'unreadable' })
})

test('refuses another id or time than the signed ones', () => {
  expect(verify(withHeaders({ 'svix-id': 'msg_2' }))).toEqual(refused('signature'))
  const later = String(Number(signed.headers['svix-timestamp']) + 1)
  expect(verify(withHeaders({ 'svix-timestamp': later }))).toEqual(refused('signature'))
})

test('accepts a signed time that is 5 minutes away, and not further', () => {
  expect(verify({ now: after(300) })).toEqual(VERIFIED)
  expect(verify({ now: after(301) })).toEqual(refused('stale'))
  expect(verify({ now: after(-300) })).toEqual(VERIFIED)
  expect(verify({ now: after(-301) })).toEqual(refused('stale'))
})

test('gives a repeated webhook the same event, signed again later', () => {
  const body = Buffer.from(signed.body)
  const now = after(36_000)
  const repeat = { headers: signResend(body, signed.secret, signed.headers['svix-id'], now), now }
  expect(verify(repeat)).toEqual(VERIFIED)
  expect(resendReceiver.read(request(repeat))).toEqual(resendReceiver.read(request()))
})

test('finds one right signature among several, of version 1 only', () => {
  const right = signed.headers['svix-signature']
  const wrong = `v1,${Buffer.alloc(32).toString('base64')}`
  expect(verify(withHeaders({ 'svix-signature': `${wrong} v1a,x ${right}` }))).toEqual(VERIFIED)
  for (const signature of [wrong, right.replace('v1,', 'v1a,'), right.replace('v1,', ''), 'v1,', ' ', ','])
    expect(verify(withHeaders({ 'svix-signature': signature }))).toEqual(refused('signature'))
})

test.each(['svix-id', 'svix-timestamp', 'svix-signature'])('refuses a request without %s', (name) => {
  for (const value of [undefined, '', ['a', 'b']])
    expect(verify(withHeaders({ [name]: value }))).toEqual(refused('missing'))
})

test.each(['', 'now', '1e9', '-1', ' 1771803675', '1771803675.0'])(
  'refuses a time that is no number: %j',
  (time) => {
    expect(verify(withHeaders({ 'svix-timestamp': time }))).toEqual(refused('missing'))
  },
)

test('accepts each secret of a rotation, and no other', () => {
  expect(verify({}, [OTHER_SECRET, signed.secret])).toEqual(VERIFIED)
  expect(verify({}, [signed.secret.replace('whsec_', '')])).toEqual(VERIFIED)
  expect(verify({}, [OTHER_SECRET])).toEqual(refused('signature'))
  expect(verify({}, [])).toEqual(refused('signature'))
})

test('never accepts an empty secret, or text that is no secret', () => {
  const emptyKey = createHmac('sha256', '')
    .update(`m.${SIGNED_AT.getTime() / 1000}.{}`)
    .digest('base64')
  const forged = {
    body: Buffer.from('{}'),
    headers: {
      'svix-id': 'm',
      'svix-timestamp': String(SIGNED_AT.getTime() / 1000),
      'svix-signature': `v1,${emptyKey}`,
    },
  }
  for (const secret of ['', 'whsec_', 'whsec_!', '=', '====', 'no secret', 'whsec_whsec_'])
    expect(verify(forged, [secret])).toEqual(refused('signature'))
  expect(() => signResend(Buffer.from('{}'), 'whsec_', 'm', SIGNED_AT)).toThrow(TypeError)
})

test('survives any payload: every report can be stored, and is the same when read again', () => {
  fc.assert(
    fc.property(mutationOf(Object.values(samples)), (event) => {
      const sent = request({ body: Buffer.from(JSON.stringify(event) ?? '') })
      const payload = resendReceiver.read(sent)
      expectUsable(payload)
      expect(resendReceiver.read(sent)).toEqual(payload)
    }),
    { numRuns: 2000, seed: 1 },
  )
})

test('survives any bytes, headers and secrets', () => {
  const text = fc.option(fc.string({ unit: 'binary' }), { nil: undefined })
  const headers = fc.record({ 'svix-id': text, 'svix-timestamp': text, 'svix-signature': text })
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(Buffer.from))
  fc.assert(
    fc.property(bytes, headers, fc.array(fc.string({ unit: 'binary' })), (body, some, secrets) => {
      const sent = { body: Buffer.from(body), headers: { ...signed.headers, ...some } }
      expect(verify(sent, secrets)).toMatchObject({ outcome: 'refused' })
      expectUsable(resendReceiver.read(request(sent)))
    }),
    { numRuns: 2000, seed: 2 },
  )
})
