import { describe, expect, it } from 'vitest'
import { readEnvelope } from './envelope.ts'
import signed from './fixtures/signed.json' with { type: 'json' }
import { isPinnedCertificate, readSubscribeUrl } from './pinned-urls.ts'
import { createSesReceiver } from './receiver.ts'

const GOOD = 'https://sns.us-west-2.amazonaws.com'
const { topicArn } = signed

const envelopeWith = (fields: object) => {
  const envelope = readEnvelope(
    Buffer.from(JSON.stringify({ ...JSON.parse(signed.confirmation), ...fields })),
  )
  if (envelope === undefined || envelope.Type === 'Notification') throw new Error('It is no confirmation')
  return envelope
}
const { Token, SubscribeURL } = envelopeWith({})

/** Verifies a confirmation with these fields by a receiver that must fetch nothing. */
async function verifyUnfetched(fields: object) {
  const receiver = createSesReceiver({
    fetchCertificate: (url) => Promise.reject(new Error(`It fetched ${url}`)),
  })
  const body = Buffer.from(JSON.stringify({ ...JSON.parse(signed.confirmation), ...fields }))
  const request = { headers: {}, body, url: '', now: new Date(signed.at) }
  const topicArns = [topicArn, envelopeWith(fields).TopicArn]
  return {
    verification: await receiver.verify(request, { secrets: [], topicArns }),
    read: receiver.read(request),
  }
}

/** Origins that are not Amazon's, or not that of the topic's region. */
const NASTY_ORIGINS = [
  'http://sns.us-west-2.amazonaws.com',
  'https://sns.us-west-2.amazonaws.com:8443',
  'https://sns.us-west-2.amazonaws.com:443',
  'https://user:pw@sns.us-west-2.amazonaws.com',
  'https://sns.us-west-2.amazonaws.com@evil.example.com',
  'https://sns.us-west-2.amazonaws.com.evil.example.com',
  'https://evil.example.com#sns.us-west-2.amazonaws.com',
  'https://evil.example.com?sns.us-west-2.amazonaws.com',
  String.raw`https://evil.example.com\@sns.us-west-2.amazonaws.com`,
  'https://sns.us-west-2.amazonaws.com.',
  'https://sns.us-west-2.amazonaws.com%2eevil.example.com',
  'https://sns.us-west-2.amazonaws.com.cn',
  'https://sns.us-east-1.amazonaws.com',
  'https://s3.us-west-2.amazonaws.com',
  'https://my-sns.us-west-2.amazonaws.com',
  'https://sns-us-west-2.amazonaws.com',
  'https://evil.s3.amazonaws.com',
  'https://sns.us-west-2.AMAZONAWS.com',
  'https://ѕns.us-west-2.amazonaws.com',
  'https://sns.us-west-2。amazonaws.com',
  ' https://sns.us-west-2.amazonaws.com',
  'https:sns.us-west-2.amazonaws.com',
  'https:///sns.us-west-2.amazonaws.com',
  'https://sns.us-west-2.amazon\naws.com',
  'https://localhost',
  'https://127.0.0.1',
  'https://2130706433',
  'https://[::1]',
  'https://169.254.169.254',
  'https://169.254.169.254/latest/meta-data/?x=https://sns.us-west-2.amazonaws.com',
  'file:///etc/passwd',
  'gopher://127.0.0.1:6379/_FLUSHALL',
  'data:text/plain,',
  'javascript:',
  '//sns.us-west-2.amazonaws.com',
  '',
]
const NASTY_CERTIFICATES = [
  ...NASTY_ORIGINS.map((origin) => `${origin}/SimpleNotificationService-f3ec.pem`),
  ...NASTY_ORIGINS,
  GOOD,
  `${GOOD}/`,
  `${GOOD}/.pem`,
  `${GOOD}/a.pem?b`,
  `${GOOD}/a.pem#b`,
  `${GOOD}/a.pem/`,
  `${GOOD}/a/b.pem`,
  `${GOOD}/../a.pem`,
  `${GOOD}/%2e%2e/a.pem`,
  `${GOOD}//evil.example.com/a.pem`,
  `${GOOD}/a.pem\n`,
  `${GOOD}/a.txt`,
  `${GOOD}/?Action=ConfirmSubscription&x=a.pem`,
  `${GOOD}/${'a'.repeat(5000)}.pem`,
]

describe('the URL of the certificate', () => {
  it.each([
    [topicArn, `${GOOD}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem`],
    ['arn:aws-cn:sns:cn-north-1:123456789012:t', 'https://sns.cn-north-1.amazonaws.com.cn/a-1.pem'],
    ['arn:aws-us-gov:sns:us-gov-west-1:123456789012:t', 'https://sns.us-gov-west-1.amazonaws.com/a-1.pem'],
    ['arn:aws:sns:eu-central-1:123456789012:t.fifo', 'https://sns.eu-central-1.amazonaws.com/a-1.pem'],
  ])("is Amazon's for %s", (TopicArn, SigningCertURL) => {
    expect(isPinnedCertificate(envelopeWith({ TopicArn, SigningCertURL }))).toBe(true)
  })

  it.each(NASTY_CERTIFICATES)('is refused unfetched: %j', async (SigningCertURL) => {
    const { verification } = await verifyUnfetched({ SigningCertURL })
    expect(verification).toEqual({ outcome: 'refused', reason: 'signature' })
  })

  it.each([
    '',
    'MyTopic',
    'arn:aws:sns:evil.example.com/:123456789012:t',
    'arn:aws:sns:us-west-2:1:t',
    'arn:aws:sqs:us-west-2:123456789012:t',
    `${topicArn}\n`,
    `${topicArn}&Action=Unsubscribe`,
  ])('is refused unfetched when the topic on the list is %j', async (TopicArn) => {
    const { verification } = await verifyUnfetched({ TopicArn })
    expect(verification).toEqual({ outcome: 'refused', reason: 'signature' })
  })
})

describe('the URL that confirms a subscription', () => {
  it('is accepted with a plain or an encoded topic', () => {
    expect(readSubscribeUrl(envelopeWith({}))).toBe(SubscribeURL)
    const encoded = SubscribeURL.replace(topicArn, encodeURIComponent(topicArn))
    expect(readSubscribeUrl(envelopeWith({ SubscribeURL: encoded }))).toBe(SubscribeURL)
  })

  it.each([
    ...NASTY_ORIGINS.map((origin) => SubscribeURL.replace(GOOD, origin)),
    ...NASTY_ORIGINS,
    SubscribeURL.replace('ConfirmSubscription', 'Unsubscribe'),
    SubscribeURL.replace(topicArn, `${topicArn}2`),
    SubscribeURL.replace(Token, 'abc'),
    `${SubscribeURL}&Action=DeleteTopic`,
    `${SubscribeURL}#`,
    SubscribeURL.replace('/?', '/x?'),
    SubscribeURL.replace('/?', '?'),
  ])('is refused: %j', async (url) => {
    expect(url).not.toBe(SubscribeURL)
    const { verification, read } = await verifyUnfetched({ SubscribeURL: url })
    expect(verification).toEqual({ outcome: 'refused', reason: 'signature' })
    expect(read).toMatchObject({ kind: 'unreadable' })
  })

  it.each(['', 'a&Action=DeleteTopic', 'a#', 'a b', 'a'.repeat(2000)])('refuses the token %j', (token) => {
    expect(() => envelopeWith({ Token: token })).toThrow('It is no confirmation')
  })
})
