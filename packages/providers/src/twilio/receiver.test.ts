import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HookRequest } from '../provider.ts'
import { expectUsable } from '../testing/expect-usable.ts'
import { mutationOf } from '../testing/fuzz.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import signed from './fixtures/signed.json' with { type: 'json' }
import { twilioReceiver } from './receiver.ts'
import { digestTwilio, signTwilio, signTwilioJson } from './sign.ts'

const request = (change: Partial<HookRequest> = {}): HookRequest => ({
  headers: signed.headers,
  body: Buffer.from(signed.body),
  url: signed.url,
  now: new Date(signed.now),
  ...change,
})
const verify = (change?: Partial<HookRequest>, secrets = [signed.secret]) =>
  twilioReceiver.verify(request(change), { secrets, topicArns: [] })

const VERIFIED = { outcome: 'verified' }
const refused = (reason: string) => ({ outcome: 'refused', reason })

test("computes the signature of Twilio's own validator", () => {
  const form = new URLSearchParams({
    Digits: '1234',
    CallSid: 'CA1234567890ABCDE',
    To: '+18005551212',
    From: '+12349013030',
    Caller: '+12349013030',
  })
  const url = 'https://www.example.com/myapp.php?foo=1&bar=2'
  expect(digestTwilio('12345', url, form).toString('base64')).toBe('6pV3TYtjwPHVCfsXjEfPS9BcfDo=')
})

test('verifies a request that Twilio signed, and reads its event', () => {
  expect(verify()).toEqual(VERIFIED)
  expect(twilioReceiver.read(request())).toMatchObject({
    kind: 'events',
    events: [{ outcome: 'report', report: { status: 'bounced', recipient: '+15005550010' } }],
  })
})

test('refuses other parameters', () => {
  for (const body of [
    signed.body.replace('30005', '30006'),
    `${signed.body}&More=1`,
    signed.body.replace('ErrorCode', 'Errorcode'),
    `\ufeff${signed.body}`,
    `${signed.body}\r\n`,
    JSON.stringify(samples.unknownNumber),
    '',
  ])
    expect(verify({ body: Buffer.from(body) })).toEqual(refused('signature'))
})

test('cannot see what the signature does not cover: order and escapes of the form', () => {
  const reversed = signed.body.split('&').reverse().join('&')
  const escaped = signed.body.replaceAll('SM', '%53%4D')
  for (const body of [reversed, escaped]) expect(verify({ body: Buffer.from(body) })).toEqual(VERIFIED)
})

test('refuses another URL', () => {
  for (const url of [
    signed.url.replace('attempt=2', 'attempt=3'),
    signed.url.replace('https:', 'http:'),
    signed.url.replace('tidings', 'other'),
    signed.url.replace('/twilio/', '/Twilio/'),
    signed.url.replace('?', ':443?'),
    signed.url.split('&').reverse().join('&'),
    '',
    'no URL',
  ])
    expect(verify({ url })).toEqual(refused('signature'))
})

test('accepts a URL with and without the default port, whichever Twilio signed', () => {
  const form = new URLSearchParams(signed.body)
  const sent = (url: string, signedUrl: string) =>
    verify({ url, headers: signTwilio(signedUrl, form, signed.secret) })
  for (const [scheme, port] of [
    ['https', 443],
    ['http', 80],
  ]) {
    const without = `${scheme}://tidings.example.com/hooks/twilio/h1?notification_id=n'1`
    const withPort = without.replace('.com', `.com:${port}`)
    expect(sent(without, withPort)).toEqual(VERIFIED)
    expect(sent(withPort, without)).toEqual(VERIFIED)
    expect(sent(withPort, withPort)).toEqual(VERIFIED)
  }
  const onPort = 'https://tidings.example.com:8443/hooks/twilio/h1'
  expect(sent(onPort, onPort)).toEqual(VERIFIED)
  expect(sent(onPort, onPort.replace(':8443', ''))).toEqual(VERIFIED)
  expect(sent(onPort, onPort.replace(':8443', ':8444'))).toEqual(refused('signature'))
})

test('signs each value of a name that comes more than once', () => {
  const url = 'https://tidings.example.com/hooks/twilio/h1'
  const headers = signTwilio(url, new URLSearchParams('A=2&A=1&A=2&B='), signed.secret)
  expect(verify({ url, headers, body: Buffer.from('B=&A=1&A=2') })).toEqual(VERIFIED)
  expect(verify({ url, headers, body: Buffer.from('B=&A=1') })).toEqual(refused('signature'))
})

test('verifies JSON by the digest in the signed URL', () => {
  const body = Buffer.from(JSON.stringify({ ...samples.delivered, Retries: 0 }))
  const { url, headers } = signTwilioJson(signed.url, body, signed.secret)
  expect(verify({ url, headers, body })).toEqual(VERIFIED)
  expect(twilioReceiver.read(request({ url, headers, body }))).toMatchObject({
    kind: 'events',
    events: [{ report: { status: 'delivered', attempt: 2 } }],
  })
  for (const text of [
    JSON.stringify(JSON.parse(body.toString()), null, 2),
    `\ufeff${body}`,
    `${body}\r\n`,
    signed.body,
    '',
  ])
    expect(verify({ url, headers, body: Buffer.from(text) })).toEqual(refused('signature'))
  const { url: bare, headers: bareHeaders } = signTwilioJson('https://a.example.com/', body, signed.secret)
  expect(verify({ url: bare, headers: bareHeaders, body })).toEqual(VERIFIED)
})

test('has no signed time: an old request passes, and is the same event', () => {
  const later = { now: new Date('2027-01-01T00:00:00.000Z') }
  expect(verify(later)).toEqual(VERIFIED)
  expect(twilioReceiver.read(request(later))).toEqual(twilioReceiver.read(request()))
})

test('accepts each token of a rotation, and no other', () => {
  expect(verify({}, ['new', signed.secret])).toEqual(VERIFIED)
  expect(verify({}, ['token of another account'])).toEqual(refused('signature'))
  expect(verify({}, [])).toEqual(refused('signature'))
})

test('never accepts an empty token', () => {
  const headers = signTwilio(signed.url, new URLSearchParams(signed.body), '')
  expect(verify({ headers }, [''])).toEqual(refused('signature'))
})

test('pins the algorithm', () => {
  const form = new URLSearchParams(signed.body)
  const text =
    signed.url +
    [...form]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flat()
      .join('')
  const sha256 = createHmac('sha256', signed.secret).update(text).digest('base64')
  const headers = {
    'x-twilio-signature': sha256,
    'x-twilio-webhooks-signature-settings': 'algorithm=HMAC_SHA256',
  }
  expect(verify({ headers })).toEqual(refused('signature'))
})

test('refuses a request without a usable signature', () => {
  const send = (signature: string | string[] | undefined) =>
    verify({ headers: { 'x-twilio-signature': signature } })
  for (const absent of [undefined, '', ['a', 'b']]) expect(send(absent)).toEqual(refused('missing'))
  const right = signed.headers['x-twilio-signature']
  for (const wrong of ['x', `${right} `, right.slice(0, -1), `${right}${right}`, `${'A'.repeat(27)}=`])
    expect(send(wrong)).toEqual(refused('signature'))
})

test('reads nothing of verified JSON that is no object', () => {
  const url = 'https://tidings.example.com/hooks/twilio/h1?bodySHA256=0'
  for (const body of ['[]', 'null', '{', ''])
    expect(twilioReceiver.read(request({ url, body: Buffer.from(body) }))).toMatchObject({
      kind: 'unreadable',
    })
})

test('survives any parameters: every report can be stored, and is the same when read again', () => {
  fc.assert(
    fc.property(mutationOf(Object.values(samples)), fc.boolean(), (event, isJson) => {
      const json = JSON.stringify(event) ?? ''
      const form = new URLSearchParams(Object.entries((event ?? {}) as object)).toString()
      const sent = request(
        isJson ? { body: Buffer.from(json), url: `${signed.url}&bodySHA256=0` } : { body: Buffer.from(form) },
      )
      const payload = twilioReceiver.read(sent)
      expectUsable(payload)
      expect(twilioReceiver.read(sent)).toEqual(payload)
    }),
    { numRuns: 2000, seed: 1 },
  )
})

test('survives any bytes, headers, URLs and secrets', () => {
  const text = fc.string({ unit: 'binary' })
  const url = fc.oneof(
    text,
    fc.webUrl({ withQueryParameters: true }),
    fc.webQueryParameters().map((query) => `https://a.example.com/?bodySHA256=&${query}`),
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.webQueryParameters().map(Buffer.from),
    fc.json().map(Buffer.from),
  )
  const signature = fc.oneof(text, fc.constant(signed.headers['x-twilio-signature']))
  fc.assert(
    fc.property(bytes, url, signature, fc.array(text), (body, anyUrl, anySignature, secrets) => {
      const sent = {
        body: Buffer.from(body),
        url: anyUrl,
        headers: { 'x-twilio-signature': anySignature },
      }
      expect(verify(sent, secrets)).toMatchObject({ outcome: 'refused' })
      expectUsable(twilioReceiver.read(request(sent)))
    }),
    { numRuns: 2000, seed: 2 },
  )
})
