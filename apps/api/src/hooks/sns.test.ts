import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHook } from '@tidings/db/operators/hooks'
import { makeSesKeys, signSns } from '@tidings/providers/ses/sign'
import { newHookId } from '@tidings/shared/hook'
import type { Releaser } from '@tidings/stack/releaser'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { HOOK_VARIABLES } from '../testing/test-hooks.ts'
import { createFetchFromSns } from './fetch-from-sns.ts'

const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:mail'
const SNS = 'https://sns.eu-west-1.amazonaws.com'
const CERTIFICATE = `${SNS}/SimpleNotificationService-0123.pem`
const TOKEN = '2336412f37fb687f5d51e6e2425e90ca'

/** A server that stands for SNS, and the paths that were asked for. */
async function startStandIn(releaser: Releaser) {
  const asked: string[] = []
  let answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end()
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  releaser.onRelease(() => server.closeAllConnections())
  releaser.onRelease(() => void server.close())
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answerWith(next: typeof answer) {
      answer = next
    },
  }
}

type StandIn = Awaited<ReturnType<typeof startStandIn>>

describe('a hook of SES, whose messages SNS signs', () => {
  const releaser = useReleaser()
  const { publicKey, privateKey } = makeSesKeys()
  let standIn: StandIn
  let api: TestApi
  let path: string

  beforeAll(async () => {
    standIn = await startStandIn(releaser)
    api = await startTestApi(releaser, HOOK_VARIABLES, { snsStandIn: standIn.origin })
    const id = newHookId()
    path = `/hooks/ses/${id}`
    await createHook(
      api.database,
      { id, provider: 'ses', name: 'ses', credentials: [{ topicArns: [TOPIC] }], isTrial: false },
      { actor: 'test', action: 'hooks.create', selector: {}, matched: 1, changed: 1, result: 'created' },
    )
  })
  beforeEach(() => {
    standIn.asked.length = 0
    standIn.answerWith((request, response) =>
      response.end(request.url?.endsWith('.pem') ? publicKey : '<ConfirmSubscriptionResponse/>'),
    )
  })

  const common = () => ({
    MessageId: crypto.randomUUID(),
    TopicArn: TOPIC,
    Timestamp: new Date().toISOString(),
    SignatureVersion: '1' as const,
    SigningCertURL: CERTIFICATE,
  })
  const subscribeUrl = (topic = TOPIC) =>
    `${SNS}/?Action=ConfirmSubscription&TopicArn=${topic}&Token=${TOKEN}`
  const confirmation = (changes: Partial<Record<string, string>> = {}) => ({
    ...common(),
    Type: 'SubscriptionConfirmation' as const,
    Message: 'You have chosen to subscribe to the topic.',
    Token: TOKEN,
    SubscribeURL: subscribeUrl(),
    ...changes,
  })
  const post = async (envelope: Parameters<typeof signSns>[0]) => {
    const body = JSON.stringify(signSns(envelope, privateKey))
    return (await fetch(api.apiUrl + path, { method: 'POST', body })).status
  }

  it('confirms a subscription to a topic on its list, once the certificate was fetched', async () => {
    expect(await post(confirmation())).toBe(200)
    expect(standIn.asked).toEqual([
      new URL(CERTIFICATE).pathname,
      `/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=${TOKEN}`,
    ])
  })

  it('takes an event of both signature versions, and fetches the certificate once', async () => {
    const event = {
      eventType: 'Send',
      mail: { messageId: 'm', timestamp: new Date().toISOString(), destination: [] },
    }
    const notification = { ...common(), Type: 'Notification' as const, Message: JSON.stringify(event) }
    expect(await post(notification)).toBe(200)
    expect(await post({ ...notification, SignatureVersion: '2' })).toBe(200)
    expect(standIn.asked).toEqual([])
  })

  it('confirms nothing of another topic, and fetches nothing for it', async () => {
    const other = TOPIC.replace(':mail', ':other')
    expect(await post(confirmation({ TopicArn: other, SubscribeURL: subscribeUrl(other) }))).toBe(401)
    expect(standIn.asked).toEqual([])
  })

  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription',
    'https://example.com/?https://sns.eu-west-1.amazonaws.com',
    `https://user@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=${TOKEN}`,
    `https://sns.eu-west-1.amazonaws.com:8443/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=${TOKEN}`,
    `${SNS}/?Action=DeleteTopic&TopicArn=${TOPIC}&Token=${TOKEN}`,
    'file:///etc/passwd',
  ])('does not fetch %s', async (url) => {
    expect(await post(confirmation({ SubscribeURL: url }))).toBe(401)
    expect(await post(confirmation({ SigningCertURL: url }))).toBe(401)
    expect(standIn.asked).toEqual([])
  })

  it('asks SNS to send again when the confirmation fails, and follows no redirect', async () => {
    standIn.answerWith((_, response) => response.writeHead(500).end())
    expect(await post(confirmation())).toBe(503)
    standIn.answerWith((_, response) =>
      response.writeHead(302, { location: `${standIn.origin}/secret` }).end(),
    )
    expect(await post(confirmation())).toBe(503)
    expect(standIn.asked).not.toContain('/secret')
  })

  it('asks SNS to send again when the certificate cannot be fetched', async () => {
    standIn.answerWith((_, response) => response.writeHead(404).end())
    const message = confirmation({ SigningCertURL: `${SNS}/SimpleNotificationService-another.pem` })
    expect(await post(message)).toBe(503)
    standIn.answerWith((_, response) => response.end(publicKey))
    expect(await post(message)).toBe(200)
  })
})

describe('fetching from SNS', () => {
  const releaser = useReleaser()
  let standIn: StandIn
  beforeAll(async () => {
    standIn = await startStandIn(releaser)
  })

  it.each([
    'https://sns.eu-west-1.amazonaws.com.cn.example.com/a.pem',
    'https://s3.eu-west-1.amazonaws.com/a.pem',
    'https://sns.eu-west-1.s3.amazonaws.com/a.pem',
    'https://sns.localhost/a.pem',
    'http://sns.eu-west-1.amazonaws.com/a.pem',
    'https://sns.eu-west-1.amazonaws.com@127.0.0.1/a.pem',
    'https://127.0.0.1/a.pem',
    '//sns.eu-west-1.amazonaws.com/a.pem',
    'no URL',
  ])('refuses %s', async (url) => {
    await expect(createFetchFromSns(standIn.origin)(url)).rejects.toThrow('not one of SNS')
    expect(standIn.asked).toEqual([])
  })

  it('takes regions of China and of the government', async () => {
    const fetchFromSns = createFetchFromSns(standIn.origin)
    for (const host of ['sns.cn-north-1.amazonaws.com.cn', 'sns.us-gov-west-1.amazonaws.com'])
      expect(await fetchFromSns(`https://${host}/a.pem`)).toBe('')
  })

  it('does not read an answer that is too large', async () => {
    standIn.answerWith((_, response) => response.end('x'.repeat(100_000)))
    await expect(createFetchFromSns(standIn.origin)(CERTIFICATE)).rejects.toThrow('too large')
  })
})
