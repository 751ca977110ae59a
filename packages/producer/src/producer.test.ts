import { readEnvFile } from '@tidings/runtime/env-file'
import { withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, describe, expect, it } from 'vitest'
import { createProducer, ProducerError, type ProducerOptions, type Report } from './producer.ts'
import { type Answer, respond, startStubApi } from './testing/stub-api.ts'

/** The name of SERVICE_KEY. */
const SOURCE = 'dev-service'

const makeEvents = (count: number, prefix: string): Report[] =>
  Array.from({ length: count }, (_, index) => ({
    notification_type: index % 2 === 0 ? 'email' : 'push',
    notification_id: `${prefix}-${index}`,
    status: 'delivered',
  }))

describe('a producer', () => {
  const releaser = useReleaser()
  let stack: TestStack
  let api: { url: string; key: string }
  let redisUrl: string
  let prefix: string
  beforeAll(async () => {
    stack = await startTestStack(releaser)
    const env = readEnvFile(stack.devEnvFile)
    api = { url: stack.apiUrl, key: env.SERVICE_KEY ?? '' }
    redisUrl = env.REDIS_URL ?? ''
    prefix = env.QUEUE_PREFIX ?? ''
  })

  const open = (options: ProducerOptions) =>
    releaser.add(createProducer(options), (producer) => producer.close({ timeoutMs: 1 }))

  /** The rows of notifications whose id begins with the prefix: `n-1 email` and so on. */
  async function readRows(idPrefix: string): Promise<string[]> {
    const sql = `SELECT notification_id || ' ' || notification_type AS name FROM notification_status
                 WHERE notification_id LIKE $1 ORDER BY 1`
    const rows = await withClient(stack.databaseUrl, (client) => client.query(sql, [`${idPrefix}-%`]))
    return rows.rows.map(({ name }) => name)
  }
  const rowsOf = (events: readonly Report[]) =>
    events.map((event) => `${event.notification_id} ${event.notification_type}`).toSorted()

  /** Waits until as many rows are there, and checks that they are those of the events, once each. */
  async function expectRows(events: readonly Report[], idPrefix: string): Promise<void> {
    await waitFor('the rows', async () => (await readRows(idPrefix)).length >= events.length, {
      timeoutMs: 30_000,
    })
    expect(rowsOf(events)).toEqual((await readRows(idPrefix)).toSorted())
  }

  /** Returns when its supervisor has started another. */
  async function killApi(): Promise<void> {
    const pid = stack.pid('api')
    process.kill(pid, 'SIGKILL')
    await waitFor('the API to start again', () => stack.pid('api') !== pid, { timeoutMs: 30_000 })
  }

  it('reports over HTTP: each event becomes one row, also when it is reported again', async () => {
    const producer = open({ api })
    const events = makeEvents(1_200, 'http')
    const results = await producer.reportMany(events)
    expect(results.filter(({ accepted }) => !accepted)).toEqual([])
    const again = events.map((event, index) => {
      const result = results[index]
      return result?.accepted ? { ...event, event_id: result.eventId } : event
    })
    await producer.reportMany(again)
    await expectRows(events, 'http')
  })

  it('reports the same events when an answer got lost: each becomes one row', async () => {
    const forward = async (events: unknown) => {
      const headers = { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' }
      const body = JSON.stringify({ events })
      return (await fetch(`${api.url}/api/v1/email/status/batch/`, { method: 'POST', headers, body })).json()
    }
    const lose: Answer = async (response, events) => {
      await forward(events)
      response.destroy()
    }
    const pass: Answer = async (response, events) => respond(response, 202, await forward(events))
    const between = await startStubApi(releaser, lose, lose, pass)
    const producer = open({ api: { ...api, url: between.url } })
    const events = makeEvents(200, 'lost').map((event) => ({ ...event, notification_type: 'email' as const }))
    const results = await producer.reportMany(events)
    expect(results.filter(({ accepted }) => !accepted)).toEqual([])
    expect(between.requests).toHaveLength(3)
    await expectRows(events, 'lost')
  })

  it('says which event the API refuses', async () => {
    const producer = open({ api })
    const event_id = 'used-twice'
    const [first, second] = makeEvents(2, 'conflict')
    const results = await producer.reportMany([
      { ...first, notification_type: 'email', notification_id: 'conflict-0', status: 'sent', event_id },
      { ...second, notification_type: 'email', notification_id: 'conflict-1', status: 'sent', event_id },
    ])
    expect(results).toMatchObject([{ accepted: true }, { accepted: false, error: { code: 'conflict' } }])
    const stranger = open({ api: { ...api, key: 'tdk_unknown' } })
    await expect(stranger.report(makeEvents(1, 'stranger')[0] as Report)).rejects.toMatchObject({
      code: 'unauthorized',
    })
  })

  it('stores what was acknowledged, once each, while the API is killed and starts again', async () => {
    const producer = open({ api, maxPending: 500 })
    const resolved: Report[] = []
    const failed: unknown[] = []
    const events = makeEvents(6_000, 'killed')
    for (let at = 0; at < events.length; at += 500) {
      const reports = events.slice(at, at + 500).map((event) =>
        producer.report(event).then(
          () => resolved.push(event),
          (error) => failed.push(error),
        ),
      )
      if (at === 1_000) await killApi()
      if (at === 3_000) {
        // One type has its answer, the other waits for it.
        await Promise.race(reports)
        await killApi()
      }
      await Promise.all(reports)
    }
    expect(failed).toEqual([])
    expect(resolved).toHaveLength(events.length)
    await expectRows(events, 'killed')
  })

  describeRedis('with a queue', () => {
    /** Returns a producer that is connected. */
    async function openQueue() {
      const producer = open({ queue: { url: redisUrl, prefix, source: SOURCE } })
      const [event] = makeEvents(1, 'first')
      await waitFor('a report', () => producer.report(event as Report).then(() => true))
      return producer
    }

    it('reports over the queue: each event becomes one row', async () => {
      const producer = await openQueue()
      const events = makeEvents(1_200, 'queue')
      const results = await producer.reportMany(events)
      expect(results.filter(({ accepted }) => !accepted)).toEqual([])
      await expectRows(events, 'queue')
    })

    it('is stored once when it is reported over both ways', async () => {
      const overQueue = await openQueue()
      const overApi = open({ api })
      const events = makeEvents(10, 'both').map((event, index) => ({
        ...event,
        event_id: `both-${index}`,
        recipient: 'ada@example.com',
      }))
      await overQueue.reportMany(events)
      await overApi.reportMany(events)
      const last = { ...makeEvents(1, 'last')[0], event_id: 'last' } as Report
      await overQueue.report(last)
      await expectRows([last], 'last')
      await expectRows(events, 'both')
    })

    it('stores events over the API while its Redis is stopped', async () => {
      const redis = await startTestRedis(releaser)
      const producer = open({ queue: { url: redis.url, source: SOURCE }, api })
      await redis.stop()
      const events = makeEvents(600, 'fallback')
      const results = await producer.reportMany(events)
      expect(results.every((result) => result.accepted && result.via === 'api')).toBe(true)
      await expectRows(events, 'fallback')
    })
  })

  it.for<[field: string, options: object | undefined]>([
    ['options: Must be an object.', undefined],
    ['api: Give', {}],
    ['api.url', { api: { url: 'ftp://secret', key: 'secret' } }],
    ['api.url', { api: { url: 'http://secret:secret@localhost', key: 'secret' } }],
    ['api.key', { api: { url: 'http://localhost', key: 'secret\n' } }],
    ['queue.url', { queue: { url: 'http://secret' } }],
    ['queue.shards', { queue: { url: 'redis://secret', shards: 65 } }],
    ['queue.source', { queue: { url: 'redis://secret' }, api: { url: 'http://localhost', key: 'secret' } }],
    ['maxPending', { api: { url: 'http://localhost', key: 'secret' }, maxPending: 0 }],
  ])('refuses options by name and without values: %s', ([field, options]) => {
    let error: unknown
    try {
      createProducer(options as ProducerOptions)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(ProducerError)
    expect(error).toMatchObject({ code: 'invalid_options', message: expect.stringContaining(field) })
    expect(String(error)).not.toContain('secret')
  })
})
