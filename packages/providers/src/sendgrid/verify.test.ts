import { generateKeyPairSync } from 'node:crypto'
import { expect, it } from 'vitest'
import signed from './fixtures/signed.json' with { type: 'json' }
import { sendgridReceiver } from './receiver.ts'
import { makeSendgridKeys, signSendgrid } from './sign.ts'
import { readSendgridKey, SIGNATURE_HEADER, TIMESTAMP_HEADER } from './verify.ts'

const { headers, publicKey, otherPublicKey } = signed
const AT = new Date(signed.at)
const HOUR_MS = 3_600_000

const request = (body: string | Buffer = signed.body, now = AT, sent: object = headers) => ({
  headers: { ...sent },
  body: Buffer.from(body),
  url: 'https://tidings.example.com/hooks/sendgrid/h1',
  now,
})
const verify = (sent: ReturnType<typeof request>, secrets = [publicKey]) =>
  sendgridReceiver.verify(sent, { secrets, topicArns: [] })

const VERIFIED = { outcome: 'verified' }
const refused = (reason: string) => ({ outcome: 'refused', reason })

it('accepts the signed fixture and reads its events', () => {
  expect(verify(request())).toEqual(VERIFIED)
  const payload = sendgridReceiver.read(request())
  expect(payload).toMatchObject({
    kind: 'events',
    events: ['sent', 'deferred', 'delivered', 'bounced'].map((status) => ({ report: { status } })),
  })
})

it('accepts each of two keys, also as PEM', () => {
  expect(verify(request(), [otherPublicKey, publicKey])).toEqual(VERIFIED)
  const lines = publicKey.match(/.{1,64}/g)?.join('\n')
  expect(verify(request(), [`-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----\n`])).toEqual(
    VERIFIED,
  )
})

const BODIES: Record<string, string> = {
  'one byte changed': signed.body.replace('notif-2', 'notif-3'),
  're-serialised JSON': JSON.stringify(JSON.parse(signed.body)),
  'keys in another order': signed.body.replace(/("email":"[^"]+"),("timestamp":\d+)/, '$2,$1'),
  'a byte order mark': `\uFEFF${signed.body}`,
  'LF for CRLF': signed.body.replaceAll('\r\n', '\n'),
  'no line break at the end': signed.body.trimEnd(),
  'nothing in it': '',
}
it.each(Object.entries(BODIES))('refuses a body with %s', (_change, body) => {
  expect(body).not.toBe(signed.body)
  expect(verify(request(body))).toEqual(refused('signature'))
})

it("refuses another hook's key, and keys that are none", () => {
  const { publicKey: p384 } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const { publicKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const toText = (key: typeof rsa) => key.export({ type: 'spki', format: 'der' }).toString('base64')
  for (const secrets of [[otherPublicKey], [], [''], ['no key'], [toText(p384)], [toText(rsa)]])
    expect(verify(request(), secrets)).toEqual(refused('signature'))
  expect(readSendgridKey(toText(p384))).toBeUndefined()
})

it('refuses a request without its headers, or with one of them twice', () => {
  const [first] = [headers[SIGNATURE_HEADER]]
  expect(verify(request(signed.body, AT, {}))).toEqual(refused('missing'))
  expect(verify(request(signed.body, AT, { [SIGNATURE_HEADER]: first }))).toEqual(refused('missing'))
  const twice = { ...headers, [SIGNATURE_HEADER]: [first, first] }
  expect(verify(request(signed.body, AT, twice))).toEqual(refused('missing'))
})

it.each(['AAAA', '!', `${'A'.repeat(5000)}`, headers[SIGNATURE_HEADER].slice(4)])(
  'refuses the signature %.8s',
  (signature) => {
    const sent = { ...headers, [SIGNATURE_HEADER]: signature }
    expect(verify(request(signed.body, AT, sent))).toEqual(refused('signature'))
  },
)

it('refuses another timestamp than the signed one, and a signed one that is no time', () => {
  const other = String(Number(headers[TIMESTAMP_HEADER]) + 1)
  expect(verify(request(signed.body, AT, { ...headers, [TIMESTAMP_HEADER]: other }))).toEqual(
    refused('signature'),
  )
  const keys = makeSendgridKeys()
  const sent = signSendgrid(Buffer.from(`soon${signed.body}`), keys.privateKey, new Date(Number.NaN))
  const odd = { [SIGNATURE_HEADER]: sent[SIGNATURE_HEADER], [TIMESTAMP_HEADER]: 'NaNsoon' }
  expect(verify(request(signed.body, AT, odd), [keys.publicKey])).toEqual(refused('stale'))
})

it('accepts what SendGrid sends again for a day, and refuses it later', () => {
  expect(verify(request(signed.body, new Date(AT.getTime() + 24 * HOUR_MS)))).toEqual(VERIFIED)
  expect(verify(request(signed.body, new Date(AT.getTime() + 26 * HOUR_MS)))).toEqual(refused('stale'))
  expect(verify(request(signed.body, new Date(AT.getTime() - 26 * HOUR_MS)))).toEqual(refused('stale'))
})

it('says what is wrong with a signed body that it cannot read', () => {
  const read = (body: string | Buffer) => sendgridReceiver.read(request(body))
  expect(read('[')).toEqual({ kind: 'unreadable', problem: 'The body is not JSON.' })
  expect(read('{}')).toEqual({ kind: 'unreadable', problem: 'The body is no array of events.' })
  expect(read(Buffer.from([0x5b, 0xff, 0x5d]))).toEqual({
    kind: 'unreadable',
    problem: 'The body is not UTF-8.',
  })
  expect(read('['.repeat(100_000) + ']'.repeat(100_000))).toMatchObject({ kind: 'unreadable' })
  expect(read('[]')).toEqual({ kind: 'events', events: [] })
})
