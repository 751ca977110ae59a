import { waitFor } from '@tidings/stack/servers/wait-for'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'
import { createProducer, type Report } from './producer.ts'
import { type Answer, answerWith, respond, startStubApi, stayQuiet } from './testing/stub-api.ts'

const event = (notification_id = 'n', type: Report['notification_type'] = 'email'): Report => ({
  notification_type: type,
  notification_id,
  status: 'sent',
})
const events = (count: number) => Array.from({ length: count }, (_, index) => event(`n-${index}`))

describe('reporting over HTTP', () => {
  const releaser = useReleaser()

  async function setUp(
    answers: Answer[] = [],
    options: { deadlineMs?: number; requestTimeoutMs?: number; maxPending?: number } = {},
  ) {
    const stub = await startStubApi(releaser, ...answers)
    const { maxPending, ...api } = options
    const producer = createProducer({
      api: { url: `${stub.url}/`, key: 'tdk_key', ...api },
      ...(maxPending !== undefined && { maxPending }),
    })
    releaser.onRelease(() => producer.close({ timeoutMs: 1 }))
    return { stub, producer }
  }
  const codeOf = (report: Promise<unknown>) =>
    report.then(
      () => 'accepted',
      (error) => error.code,
    )

  it('gathers concurrent calls into one request for each type, over one connection each', async () => {
    const { stub, producer } = await setUp()
    await Promise.all([
      ...events(500).map((each) => producer.report(each)),
      producer.report(event('p', 'push')),
    ])
    await producer.report(event('later'))
    expect(stub.requests.map(({ path, events: sent }) => [path, sent.length]).toSorted()).toEqual([
      ['/api/v1/email/status/batch/', 1],
      ['/api/v1/email/status/batch/', 500],
      ['/api/v1/push/status/batch/', 1],
    ])
    expect(stub.requests.flatMap(({ events: sent }) => sent.map((each) => each.notification_id))).toEqual(
      expect.arrayContaining(['n-0', 'n-499', 'p', 'later']),
    )
    expect(stub.connections()).toBe(2)
  })

  it('waits as long as Retry-After says, in seconds, and repeats the same events', async () => {
    const { stub, producer } = await setUp([answerWith(503, { 'retry-after': '1' })])
    const [first, second] = await Promise.all([producer.report(event('a')), producer.report(event('b'))])
    const [refused, accepted] = stub.requests
    expect(accepted?.events).toEqual(refused?.events)
    expect(accepted?.events.map((each) => each.event_id)).toEqual([first.eventId, second.eventId])
    expect((accepted?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(1_000)
  })

  it('waits until the date of Retry-After, also with events that came later', async () => {
    const at = Math.ceil(Date.now() / 1_000) * 1_000 + 1_000
    const { stub, producer } = await setUp([answerWith(429, { 'retry-after': new Date(at).toUTCString() })])
    const first = producer.report(event())
    await waitFor('the refusal', () => stub.requests.length === 1)
    await Promise.all([first, producer.report(event()), producer.report(event('p', 'push'))])
    expect(Date.now()).toBeGreaterThanOrEqual(at)
    expect(stub.requests).toHaveLength(4)
  })

  it('gives up at once when Retry-After is beyond the deadline, and sends nothing meanwhile', async () => {
    const { stub, producer } = await setUp([answerWith(503, { 'retry-after': '3600' })])
    await expect(producer.report(event('a'))).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
      eventId: expect.any(String),
      retryAfterMs: 3_600_000,
    })
    // Its deadline may be a little later than the end of the pause. It then waits for that end.
    const later = codeOf(producer.report(event('b')))
    await producer.close({ timeoutMs: 200 })
    expect(['unavailable', 'closed']).toContain(await later)
    expect(stub.requests).toHaveLength(1)
  })

  it('asks an API again that named a time far away, once an event would have been given up', async () => {
    const { stub, producer } = await setUp([answerWith(503, { 'retry-after': '3600' })], { deadlineMs: 200 })
    await waitFor('an accepted event', async () => (await codeOf(producer.report(event()))) === 'accepted')
    const [refused, next] = stub.requests
    expect((next?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(200)
  })

  it.for([500, 502, 504, 408])('tries again after %i', async (status) => {
    const { stub, producer } = await setUp([answerWith(status), answerWith(status)])
    await producer.report(event())
    expect(stub.requests).toHaveLength(3)
  })

  it('tries again after an answer that is not of Tidings', async () => {
    const { stub, producer } = await setUp([
      (response) => response.writeHead(202).end('<html>'),
      (response) => respond(response, 202, { data: [] }),
    ])
    await producer.report(event())
    expect(stub.requests).toHaveLength(3)
  })

  it.for([
    [400, 'refused', 'answered 400.'],
    [401, 'unauthorized', 'answered 401. Is the service key right, and not revoked?'],
    [403, 'unauthorized', 'answered 403. Does the service key have the scope status:write:email?'],
    [301, 'refused', 'answered 301. Is the URL the base URL of the API?'],
    [404, 'refused', 'answered 404. Is the URL the base URL of the API?'],
  ] as const)(
    'rejects after %i, says what is wrong, and does not try again',
    async ([status, code, text]) => {
      const { stub, producer } = await setUp([answerWith(status, { location: '/' })])
      await expect(producer.report(event())).rejects.toMatchObject({
        code,
        retryable: false,
        message: expect.stringContaining(text),
      })
      expect(stub.requests).toHaveLength(1)
    },
  )

  it('tries again when the API does not answer in time', async () => {
    const { stub, producer } = await setUp([stayQuiet], { requestTimeoutMs: 100 })
    await producer.report(event())
    const [first, second] = stub.requests
    expect(second?.events).toEqual(first?.events)
  })

  it('tries again when the connection breaks', async () => {
    const { stub, producer } = await setUp([(response) => response.destroy()])
    await producer.report(event())
    const [first, second] = stub.requests
    expect(second?.events).toEqual(first?.events)
  })

  it('rejects an event at its deadline, and does not send it afterwards', async () => {
    const late = Promise.withResolvers<void>()
    const { stub, producer } = await setUp(
      [(response) => late.promise.then(() => respond(response, 503, {}))],
      { deadlineMs: 500 },
    )
    const first = codeOf(producer.report(event('first')))
    await waitFor('the request', () => stub.requests.length === 1)
    // Waits behind the first request until its own deadline.
    const second = codeOf(producer.report(event('second')))
    expect(await Promise.all([first, second])).toEqual(['unavailable', 'unavailable'])
    late.resolve()
    await waitFor(
      'an accepted event',
      async () => (await codeOf(producer.report(event('third')))) === 'accepted',
    )
    expect(
      stub.requests.flatMap(({ events: sent }) => sent.map((each) => each.notification_id)),
    ).not.toContain('second')
  })

  it('rejects only those events of a request that the API refuses', async () => {
    const { producer } = await setUp([
      (response, sent) =>
        respond(response, 202, {
          data: sent.map(({ notification_id }) => {
            if (notification_id === 'n-1')
              return { accepted: false, error: 'conflict', message: 'Used.', errors: [] }
            if (notification_id !== 'n-2') return { accepted: true, id: 'x' }
            const errors = [{ pointer: '/user_id', code: 'invalid', message: 'Use a UUID.' }]
            return { accepted: false, error: 'validation_failed', message: 'No.', errors }
          }),
        }),
    ])
    const results = await producer.reportMany(events(4))
    expect(results).toMatchObject([
      { accepted: true, via: 'api' },
      { accepted: false, error: { code: 'conflict', retryable: false } },
      { accepted: false, error: { code: 'invalid_event', fields: [{ pointer: '/user_id' }] } },
      { accepted: true },
    ])
  })

  it('rejects an invalid event alone, and sends nothing of it', async () => {
    const { stub, producer } = await setUp()
    const results = await producer.reportMany([event('a'), { ...event('b'), status: 'failed' }, event('c')])
    expect(results.map(({ accepted }) => accepted)).toEqual([true, false, true])
    expect(stub.requests[0]?.events).toHaveLength(2)
  })

  it('rejects an event at once while maxPending are on their way, and takes more when they are not', async () => {
    const { stub, producer } = await setUp([stayQuiet], { maxPending: 2, requestTimeoutMs: 200 })
    const taken = [producer.report(event()), producer.report(event())]
    await expect(producer.report(event())).rejects.toMatchObject({ code: 'overloaded', retryable: true })
    expect(stub.requests).toHaveLength(0)
    await Promise.all(taken)
    await producer.report(event())
  })

  it('flushes: all events given before are settled, also those that fail', async () => {
    const { producer } = await setUp([answerWith(503), answerWith(400)])
    await producer.flush()
    const settled: string[] = []
    for (const type of ['email', 'push'] as const)
      void codeOf(producer.report(event('n', type))).then((code) => settled.push(code))
    await producer.flush()
    expect(settled.toSorted()).toEqual(['accepted', 'refused'])
  })

  it('closes: waits for the events on their way, and takes no more', async () => {
    const { stub, producer } = await setUp([answerWith(503)])
    const report = codeOf(producer.report(event()))
    await Promise.all([producer.close(), producer.close()])
    expect(stub.requests).toHaveLength(2)
    expect(await report).toBe('accepted')
    expect(await codeOf(producer.report(event()))).toBe('closed')
  })

  it('closes: rejects what is left after its time limit, and ends the request', async () => {
    let isEnded = false
    const { stub, producer } = await setUp([
      (response) =>
        response.on('close', () => {
          isEnded = true
        }),
    ])
    const left = expect(producer.report(event())).rejects.toMatchObject({ code: 'closed', retryable: true })
    await waitFor('the request', () => stub.requests.length === 1)
    const waiting = codeOf(producer.report(event()))
    await producer.close({ timeoutMs: 50 })
    await left
    expect(await waiting).toBe('closed')
    await waitFor('the end of the request', () => isEnded)
    expect(stub.requests).toHaveLength(1)
  })

  it('sends as many requests as the events need', async () => {
    const { stub, producer } = await setUp()
    const results = await producer.reportMany(events(1_201))
    expect(results.every(({ accepted }) => accepted)).toBe(true)
    expect(stub.requests.map(({ events: sent }) => sent.length)).toEqual([500, 500, 201])
  })
})
