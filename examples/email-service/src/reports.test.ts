import { once } from 'node:events'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { publishMessages, withOutboundQueue } from '@tidings/queue/outbound-queue'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { startMailbox } from '@tidings/stack/dev/mailbox'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'

const ID = '018f2f6a-0000-7000-8000-000000000001'
const USER = '018f2f6a-0000-7000-8000-000000000002'

describeRedis('a report that fails', () => {
  const releaser = useReleaser()

  it('is repeated as it was, and the mail is not sent again', async () => {
    const reports: unknown[] = []
    const api = createServer(async (request, response) => {
      reports.push([request.url, request.headers.authorization, await json(request)])
      // The producer repeats the first at once. The second makes it give up, and the message waits in the queue.
      response.writeHead([503, 400][reports.length - 1] ?? 202).end('{"data":[{"accepted":true}]}')
    }).listen(0, '127.0.0.1')
    await once(api, 'listening')
    releaser.onRelease(() => {
      api.closeAllConnections()
      api.close()
    })
    const address = api.address()
    const mailbox = releaser.add(await startMailbox(), (it) => it.close())
    const backend = await createTestBackend('redis', releaser)
    if (backend.kind !== 'redis') throw new Error('Not a Redis backend')
    const service = await spawnApp({
      name: 'email-service',
      main: 'examples/email-service/src/main.ts',
      env: {
        SMTP_URL: mailbox.smtpUrl,
        MAIL_FROM: 'hello@example.com',
        API_URL: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`,
        SERVICE_KEY: 'tdk_key',
        REDIS_URL: backend.url,
        QUEUE_PREFIX: backend.prefix,
      },
    })
    releaser.onRelease(async () => void (await service.stop()))
    await service.waitUntilReady()

    const onError = () => undefined
    await withOutboundQueue(backend, onError, (queue) =>
      publishMessages(queue, [
        {
          v: 1,
          id: ID,
          kind: 'password_changed',
          to: 'ann@example.com',
          user_id: USER,
          locale: 'en',
          variables: {},
          expires_at: new Date(Date.now() + 60_000).toISOString(),
        },
      ]),
    )
    const isGone = () =>
      withOutboundQueue(backend, onError, async (queue) => (await queue.getJob(ID)) === undefined)
    await waitFor('the job to end', async () => reports.length === 3 && (await isGone()), {
      timeoutMs: 20_000,
    })
    const report = [
      '/api/v1/email/status/batch/',
      'Bearer tdk_key',
      {
        events: [
          { notification_id: ID, user_id: USER, status: 'sent', attempt: 1, event_id: `${ID}:1:sent` },
        ],
      },
    ]
    expect(reports).toEqual([report, report, report])
    expect(await (await fetch(`${mailbox.url}/messages`)).json()).toHaveLength(1)
  })
})
