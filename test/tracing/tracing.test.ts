import { randomBytes, randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readEnvFile } from '@tidings/runtime/env-file'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, describe, expect, it } from 'vitest'
import { type CollectedSpan, type Collector, startCollector } from './collector.ts'

/** Kinds of spans, as OTLP numbers them. */
const SERVER = 2
const PRODUCER = 4
const CONSUMER = 5

/** Returns the context of a caller that records its own trace. */
function makeCaller() {
  const traceId = randomBytes(16).toString('hex')
  const spanId = randomBytes(8).toString('hex')
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-01` }
}

async function postStatus(
  stack: TestStack,
  event: Record<string, unknown>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const { SERVICE_KEY } = readEnvFile(stack.devEnvFile)
  return fetch(`${stack.apiUrl}/api/v1/email/status/`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${SERVICE_KEY}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify({ status: 'delivered', ...event }),
  })
}

describeBackends('tracing', (kind) => {
  const releaser = useReleaser()
  let collector: Collector
  let stack: TestStack

  beforeAll(async () => {
    collector = await startCollector(releaser)
    stack = await startTestStack(releaser, kind, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })
  })

  const findSpan = (what: string, matches: (span: CollectedSpan) => boolean) =>
    waitFor(what, () => collector.spans.find(matches), {
      timeoutMs: 15_000,
      explain: () => collector.spans.map((span) => `${span.name} ${span.traceId}`).join('\n'),
    })

  it("continues the caller's trace from the request through the queue to the insert", async () => {
    const caller = makeCaller()
    const requestId = randomUUID()
    const notificationId = `canary-${randomUUID()}`
    const response = await postStatus(
      stack,
      { notification_id: notificationId },
      { traceparent: caller.traceparent, 'x-request-id': requestId },
    )
    expect(response.status).toBe(202)

    const inTrace = (name: RegExp) =>
      findSpan(`${name} in the trace`, (span) => span.traceId === caller.traceId && name.test(span.name))
    const request = await inTrace(/^POST /)
    expect(request).toMatchObject({
      name: 'POST /api/v1/email/status',
      kind: SERVER,
      parentSpanId: caller.spanId,
      service: 'tidings-api',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/api/v1/email/status',
        'http.response.status_code': 202,
        'tidings.request_id': requestId,
      },
    })
    const publish = await inTrace(/^publish envelope$/)
    expect(publish.parentSpanId).toBe(request.spanId)
    const add = await inTrace(/^add /)
    expect(add).toMatchObject({ kind: PRODUCER, parentSpanId: publish.spanId })
    const work = await inTrace(/^process /)
    expect(work).toMatchObject({ kind: CONSUMER, parentSpanId: add.spanId, service: 'tidings-worker' })
    const insert = await inTrace(/^INSERT notification_status$/)
    expect(insert).toMatchObject({
      parentSpanId: work.spanId,
      attributes: { 'db.operation.batch.size': 1 },
    })

    const { SERVICE_KEY = '' } = readEnvFile(stack.devEnvFile)
    expect(SERVICE_KEY).not.toBe('')
    for (const secret of [notificationId, SERVICE_KEY]) expect(collector.received()).not.toContain(secret)
  })

  it('holds no token of a link', async () => {
    const caller = makeCaller()
    const token = `canary-${randomUUID()}`
    const url = `${stack.apiUrl}/reset-password?token=${token}`
    const headers = { traceparent: caller.traceparent, referer: url, connection: 'close' }
    await (await fetch(url, { headers })).text()
    const span = await findSpan('the page', ({ traceId }) => traceId === caller.traceId)
    expect(span.attributes).toMatchObject({ 'http.route': '/reset-password' })
    expect(collector.received()).not.toContain(token)
  })

  it('writes the trace id into the log line of the request', async () => {
    const caller = makeCaller()
    await postStatus(stack, { notification_id: 'logged' }, { traceparent: caller.traceparent })
    const line = await waitFor('the log line', async () =>
      (await readFile(join(stack.logDir, 'api.log'), 'utf8'))
        .split('\n')
        .find((text) => text.includes(caller.traceId)),
    )
    const start = line.indexOf('{')
    expect(JSON.parse(line.slice(start))).toMatchObject({
      msg: 'request',
      trace_id: caller.traceId,
      span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
  })

  it('links an envelope of many requests with each request, in both directions', async () => {
    const callers = Array.from({ length: 60 }, makeCaller)
    await Promise.all(
      callers.map(({ traceparent }) => postStatus(stack, { notification_id: 'gathered' }, { traceparent })),
    )
    const traceIds = new Set(callers.map(({ traceId }) => traceId))
    const publishes = await waitFor('every request to be in some envelope', () => {
      const found = collector.spans.filter(
        (span) =>
          span.name === 'publish envelope' &&
          [span, ...span.links].some(({ traceId }) => traceIds.has(traceId)),
      )
      const covered = found.flatMap((span) => [span.traceId, ...span.links.map(({ traceId }) => traceId)])
      return callers.every(({ traceId }) => covered.includes(traceId)) && found
    })
    const ofSeveral = publishes.filter((span) => span.links.length > 1)
    expect(ofSeveral).not.toEqual([])
    for (const span of ofSeveral) {
      expect(span.parentSpanId ?? '').toBe('')
      for (const { spanId } of span.links) {
        const request = collector.spans.find((candidate) => candidate.spanId === spanId)
        expect(request?.links).toContainEqual(
          expect.objectContaining({ traceId: span.traceId, spanId: span.spanId }),
        )
      }
      await findSpan(
        'the job of the envelope',
        ({ kind, traceId }) => kind === CONSUMER && traceId === span.traceId,
      )
    }
  })

  it('shows a sweep that made a dead letter, without the text of the error', async () => {
    await withClient(stack.databaseUrl, (client) =>
      client.query(`
        CREATE FUNCTION refuse_unlucky() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF NEW.provider = 'unlucky' THEN
            RAISE EXCEPTION 'canary-error-text' USING ERRCODE = '55P03';
          END IF;
          RETURN NEW;
        END $$;
        CREATE TRIGGER refuse_unlucky BEFORE INSERT ON notification_status
          FOR EACH ROW EXECUTE FUNCTION refuse_unlucky();`),
    )
    await postStatus(stack, { notification_id: 'swept', provider: 'unlucky' })
    const sweep = await waitFor(
      'the sweep',
      () => collector.spans.find(({ name }) => name === 'sweep failed jobs'),
      { timeoutMs: 30_000 },
    )
    expect(sweep).toMatchObject({ service: 'tidings-worker', attributes: { 'tidings.buried': 1 } })
    await findSpan('the insert that failed', ({ attributes }) => attributes['error.type'] === '55P03')
    expect(collector.received()).not.toContain('canary-error-text')
  })

  it('has no spans of an idle worker', () => {
    expect(collector.spans.filter(({ name }) => /^(getNextJob|moveStalled)/.test(name))).toEqual([])
  })

  it('delivers the last spans when the apps stop', async () => {
    const caller = makeCaller()
    await postStatus(stack, { notification_id: 'last' }, { traceparent: caller.traceparent })
    await stack.stop()
    const names = collector.spans.filter((span) => span.traceId === caller.traceId).map(({ name }) => name)
    expect(names).toContain('POST /api/v1/email/status')
  })
})

describe.concurrent('without a collector', () => {
  const releaser = useReleaser()

  /** Starts both apps, posts a status and stops them. Returns the URLs of the modules that they loaded. */
  async function listLoadedModules(
    variables: Record<string, string>,
    whileRunning: (stack: TestStack) => Promise<void> = async () => {},
  ): Promise<string[]> {
    const into = join(await makeTestFolder(releaser), 'modules')
    await writeFile(into, '')
    const recorder = new URL('record-modules.ts', import.meta.url)
    recorder.searchParams.set('into', into)
    const stack = await startTestStack(releaser, undefined, {
      NODE_OPTIONS: `--import=${recorder.href}`,
      ...variables,
    })
    expect((await postStatus(stack, { notification_id: 'n-1' })).status).toBe(202)
    await whileRunning(stack)
    await stack.stop()
    return (await readFile(into, 'utf8')).split('\n')
  }

  // The metrics library loads the bare API of OpenTelemetry, which does nothing by itself.
  const onlyTracing = (modules: string[]) =>
    modules.filter((url) => /node_modules\/(@opentelemetry\/(?!api\/)|bullmq-otel\/)|start-tracing/.test(url))

  it('loads no tracer, no exporter and no tracing module of ours in either app', async () => {
    const modules = await listLoadedModules({})
    const root = new URL('../../', import.meta.url).href
    for (const app of ['api', 'worker']) expect(modules).toContain(`${root}apps/${app}/src/main.ts`)
    expect(onlyTracing(modules)).toEqual([])
  })

  it('goes on when the collector is away, logs a warning, and stops in time', async () => {
    const endpoint = `http://127.0.0.1:${await findFreePort()}`
    let logFile = ''
    let stopsAtMs = 0
    const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: '1000' }
    const modules = await listLoadedModules(variables, async (stack) => {
      logFile = join(stack.logDir, 'api.log')
      await waitFor(
        'the warning',
        async () => (await readFile(logFile, 'utf8')).includes('trace export failed'),
        { timeoutMs: 30_000 },
      )
      stopsAtMs = performance.now()
    })
    expect(performance.now() - stopsAtMs).toBeLessThan(15_000)
    expect(await readFile(logFile, 'utf8')).toContain('"msg":"stopped"')
    // Proves that the test above would notice them.
    expect(onlyTracing(modules)).not.toEqual([])
  })
})
