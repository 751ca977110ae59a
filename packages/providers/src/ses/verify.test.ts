import { expect, it } from 'vitest'
import signed from './fixtures/signed.json' with { type: 'json' }
import { createSesReceiver } from './receiver.ts'
import { makeSesKeys, signSns } from './sign.ts'

const AT = new Date(signed.at)
const HOUR_MS = 3_600_000
const { topicArn, version1, version2, confirmation } = signed

const request = (body: string, now = AT) => ({
  headers: {},
  body: Buffer.from(body),
  url: 'https://tidings.example.com/hooks/ses/h1',
  now,
})

/** A receiver, and the URLs that it fetched. */
function createReceiver(pem: string | Error = signed.certificate) {
  const fetched: string[] = []
  const receiver = createSesReceiver({
    async fetchCertificate(url) {
      fetched.push(url)
      if (pem instanceof Error) throw pem
      return pem
    },
  })
  const verify = async (body: string, { secrets = [] as string[], topicArns = [topicArn], now = AT } = {}) =>
    receiver.verify(request(body, now), { secrets, topicArns })
  return { receiver, fetched, verify }
}

const change = (body: string, fields: object) => JSON.stringify({ ...JSON.parse(body), ...fields })
const VERIFIED = { outcome: 'verified' }
const refused = (reason: string) => ({ outcome: 'refused', reason })

it.each(Object.entries({ version1, version2 }))('accepts the signed fixture, %s', async (_version, body) => {
  const { receiver, fetched, verify } = createReceiver()
  expect(await verify(body)).toEqual(VERIFIED)
  expect(fetched).toEqual([signed.certificateUrl])
  expect(receiver.read(request(body))).toMatchObject({
    kind: 'events',
    events: [
      { report: { event_id: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324#0', recipient: 'ann@example.com' } },
      { report: { event_id: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324#1', recipient: 'bob@example.com' } },
    ],
  })
})

it('accepts a confirmation, and gives the URL that confirms it', async () => {
  const { receiver, verify } = createReceiver()
  expect(await verify(confirmation)).toEqual(VERIFIED)
  const { SubscribeURL } = JSON.parse(confirmation)
  expect(receiver.read(request(confirmation))).toEqual({ kind: 'subscription', topicArn, url: SubscribeURL })
})

it('fetches a certificate once, also for requests that come together', async () => {
  const { fetched, verify } = createReceiver()
  await Promise.all([verify(version1), verify(version2)])
  await verify(version1)
  expect(fetched).toHaveLength(1)
})

it.each([
  ['the wrong topic', { TopicArn: 'arn:aws:sns:us-west-2:123456789012:Other' }, 'topic'],
  ['a topic of another region', { TopicArn: 'arn:aws:sns:us-east-1:123456789012:MyTopic' }, 'topic'],
  ['a certificate of another host', { SigningCertURL: 'https://sns.example.com/a.pem' }, 'signature'],
  ['no time', { Timestamp: 'soon' }, 'stale'],
  ['signature version 3', { SignatureVersion: '3' }, 'missing'],
  ['no signature', { Signature: '' }, 'missing'],
  ['another type', { Type: 'Alarm' }, 'missing'],
])('refuses %s and fetches nothing', async (_what, fields, reason) => {
  const { fetched, verify } = createReceiver()
  expect(await verify(change(version1, fields))).toEqual(refused(reason))
  expect(await verify(change(confirmation, fields))).toEqual(refused(reason))
  expect(fetched).toEqual([])
})

it('refuses a delivery without an envelope, which has no signature', async () => {
  const { receiver, fetched, verify } = createReceiver()
  const raw = JSON.parse(version1).Message
  expect(await verify(raw)).toEqual(refused('missing'))
  expect(receiver.read(request(raw))).toMatchObject({ kind: 'unreadable' })
  expect(fetched).toEqual([])
})

it.each([
  ['the message', { Message: JSON.parse(version1).Message.replace('ann@', 'amn@') }],
  ['the message id', { MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325' }],
  ['the subject', { Subject: 'Another' }],
  ['no subject', { Subject: null }],
  ['the time', { Timestamp: '2026-03-01T12:00:31.000Z' }],
  ['the algorithm', { SignatureVersion: '2' }],
  ['the signature', { Signature: 'AAAA' }],
])('refuses a change of %s', async (_what, fields) => {
  const { verify } = createReceiver()
  expect(await verify(change(version1, fields))).toEqual(refused('signature'))
})

it('refuses a change of the token', async () => {
  const { verify } = createReceiver()
  const { Token, SubscribeURL } = JSON.parse(confirmation)
  const fields = { Token: 'abc', SubscribeURL: SubscribeURL.replace(Token, 'abc') }
  expect(await verify(change(confirmation, fields))).toEqual(refused('signature'))
})

it('accepts another form of the same envelope, because SNS signs the fields and not the bytes', async () => {
  const { receiver, verify } = createReceiver()
  const fields = JSON.parse(version1)
  const same = [
    JSON.stringify(fields),
    JSON.stringify(Object.fromEntries(Object.entries(fields).reverse())),
    `\uFEFF${version1}`,
    version1.replaceAll('\r\n', '\n'),
    change(version1, { UnsubscribeURL: 'https://www.example.com/', Unknown: 1 }),
  ]
  for (const body of same) {
    expect(await verify(body)).toEqual(VERIFIED)
    expect(receiver.read(request(body))).toEqual(receiver.read(request(version1)))
  }
})

it('accepts what SNS sends again for an hour, and refuses it after more than a day', async () => {
  const { verify } = createReceiver()
  expect(await verify(version1, { now: new Date(AT.getTime() + HOUR_MS) })).toEqual(VERIFIED)
  expect(await verify(version1, { now: new Date(AT.getTime() + 26 * HOUR_MS) })).toEqual(refused('stale'))
})

it("refuses another's certificate", async () => {
  const { verify } = createReceiver(signed.otherKey)
  expect(await verify(version1)).toEqual(refused('signature'))
})

it.each([new Error('connect ETIMEDOUT'), '', 'no PEM', '<html>'])(
  'is unavailable while the certificate is %j, and asks again',
  async (answer) => {
    const { fetched, verify } = createReceiver(answer)
    expect(await verify(version1)).toMatchObject({ outcome: 'unavailable' })
    expect(await verify(version1)).toMatchObject({ outcome: 'unavailable' })
    expect(fetched).toHaveLength(2)
  },
)

it("verifies a trial by the hook's own key and fetches nothing", async () => {
  const { fetched, verify } = createReceiver()
  const { publicKey, privateKey } = makeSesKeys()
  const { Signature: _, ...envelope } = JSON.parse(version2)
  const body = JSON.stringify(signSns(envelope, privateKey))
  expect(await verify(body, { secrets: [publicKey] })).toEqual(VERIFIED)
  expect(await verify(body, { secrets: [signed.otherKey, publicKey] })).toEqual(VERIFIED)
  expect(await verify(body, { secrets: [signed.otherKey] })).toEqual(refused('signature'))
  expect(await verify(body, { secrets: ['no PEM'] })).toEqual(refused('signature'))
  expect(await verify(version2, { secrets: [publicKey] })).toEqual(refused('signature'))
  // A certificate does as well as a key.
  expect(await verify(version2, { secrets: [signed.certificate] })).toEqual(VERIFIED)
  expect(fetched).toEqual([])
})

it('has nothing to do for what SNS and SES say of themselves', () => {
  const { receiver } = createReceiver()
  const read = (fields: object) => receiver.read(request(change(confirmation, fields)))
  expect(read({ Type: 'UnsubscribeConfirmation' })).toEqual({ kind: 'nothing' })
  const notice = 'Successfully validated SNS topic for Amazon SES event publishing.'
  expect(read({ Type: 'Notification', Message: notice })).toEqual({ kind: 'nothing' })
})

it('says what is wrong with a message that it cannot read', () => {
  const { receiver } = createReceiver()
  expect(receiver.read(request(change(version1, { Message: 'hello' })))).toEqual({
    kind: 'unreadable',
    problem: 'The Message is no event: The body is not JSON.',
  })
})
