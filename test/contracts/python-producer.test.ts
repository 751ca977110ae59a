import { readFile } from 'node:fs/promises'
import { startTestApi, type TestApi } from '@tidings/api/testing/test-api'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { startTestWorker } from '@tidings/worker/testing/test-worker'
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { arbitraryEvent } from './event-samples.ts'
import { describePython, runPython } from './run-python.ts'

const problemSchema = z.object({ pointer: z.string(), code: z.string() })
type Problems = z.infer<typeof problemSchema>[]
const answerSchema = z.object({ data: z.array(z.object({ errors: z.array(problemSchema).default([]) })) })

const FIND_PROBLEMS = `
import json, sys
from tidings_producer import find_problems
found = [find_problems(event) for event in json.load(sys.stdin)]
print(json.dumps([[{"pointer": each.pointer, "code": each.code} for each in problems] for problems in found]))
`

const REPORT_UNTIL_END_OF_INPUT = `
import os, sys, threading
from tidings_producer import Producer

ended = threading.Event()
event_ids = []

def report():
    while not ended.is_set():
        event = {"notification_type": "email", "notification_id": "faults", "status": "sent"}
        event_ids.append(producer.report(event).event_id)

with Producer(os.environ["API_URL"], os.environ["SERVICE_KEY"]) as producer:
    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
print("\\n".join(event_ids), end="")
`

describePython('the producer for Python', () => {
  const releaser = useReleaser()
  let api: TestApi
  let env: Record<string, string>
  beforeAll(async () => {
    api = await startTestApi(releaser, { PORT: String(await findFreePort()) })
    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    releaser.onRelease(() => lifecycle.release())
    await startTestWorker({ db: api.database, backend: api.backend, lifecycle })
    env = { API_URL: api.apiUrl, SERVICE_KEY: await api.createKey() }
  })

  const countRows = async (notificationIds: string) => {
    const sql = 'SELECT count(*)::int AS rows FROM notification_status WHERE notification_id LIKE $1'
    return (await api.database.pool.query(sql, [notificationIds])).rows[0].rows
  }

  it('passes its own tests, and each of its events is stored once', async () => {
    await runPython(['-m', 'unittest'], { env })
    // What test_tidings_producer.py reports to a real API.
    await waitFor('rows', async () => (await countRows('python-%')) >= 1_501)
    expect(await countRows('python-%')).toBe(1_501)
  })

  it('refuses the same events as the API, for the same fields and rules', async () => {
    const events = fc
      .sample(arbitraryEvent, { numRuns: 3_000, seed: 7 })
      .map((event) => ({ ...event, notification_type: 'email' }))
    const [ours, theirs] = await Promise.all([findProblems(events), askApi(events)])
    for (const [index, event] of events.entries())
      expect(ours[index], JSON.stringify(event)).toEqual(theirs[index])
    const valid = ours.filter((problems) => Object.keys(problems).length === 0)
    // Otherwise the test shows nothing.
    expect(valid.length).toBeGreaterThan(500)
  })

  async function findProblems(events: unknown[]): Promise<Record<string, string>[]> {
    const output = await runPython(['-c', FIND_PROBLEMS], { input: JSON.stringify(events) })
    return z.array(z.array(problemSchema)).parse(JSON.parse(output)).map(firstOfEachField)
  }

  async function askApi(events: unknown[]): Promise<Record<string, string>[]> {
    const problems: Problems[] = []
    for (let first = 0; first < events.length; first += 100) {
      const response = await fetch(`${api.apiUrl}/api/v1/email/status/batch/`, {
        method: 'POST',
        headers: { authorization: `Bearer ${env.SERVICE_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ events: events.slice(first, first + 100) }),
      })
      problems.push(...answerSchema.parse(await response.json()).data.map(({ errors }) => errors))
    }
    return problems.map(firstOfEachField)
  }

  /** The API may name several rules of one field. It looks for a missing error also beside other problems. */
  function firstOfEachField(problems: Problems): Record<string, string> {
    const others = problems.filter(({ code }) => code !== 'missing_error')
    const shown = others.length > 0 ? others : problems
    return Object.fromEntries(shown.toReversed().map(({ pointer, code }) => [pointer, code]))
  }

  it('loses and doubles nothing while connections are cut and the API starts again', async () => {
    const proxy = await startTcpProxy(api.apiUrl, releaser)
    async function untilMoreAreStored() {
      const before = await countRows('faults')
      await waitFor('more rows', async () => (await countRows('faults')) > before + 100)
    }
    async function disturb(): Promise<string> {
      for (let times = 0; times < 5; times++) {
        await untilMoreAreStored()
        await proxy.cut()
        await proxy.restore()
      }
      await untilMoreAreStored()
      await api.stop()
      api = await startTestApi(releaser, { PORT: String(api.port) }, { database: api, backend: api.backend })
      await untilMoreAreStored()
      return ''
    }
    const output = await runPython(['-c', REPORT_UNTIL_END_OF_INPUT], {
      env: { ...env, API_URL: `http://127.0.0.1:${proxy.port}` },
      input: disturb(),
    })
    const eventIds = output.split('\n').sort()
    await waitFor('the last rows', async () => (await countRows('faults')) >= eventIds.length)
    const sql = `SELECT event_id FROM notification_status WHERE notification_id = 'faults'`
    const { rows } = await api.database.pool.query<{ event_id: string }>(sql)
    expect(rows.map((row) => row.event_id).sort()).toEqual(eventIds)
  })

  it('has a README whose program does what it says', async () => {
    const page = await readFile(new URL('../../clients/python/README.md', import.meta.url), 'utf8')
    const program = page.split('```python\n')[1]?.split('```')[0] ?? ''
    const lines = (await runPython(['-c', program], { env })).split('\n')
    expect(lines[0]).toMatch(/^durable: [0-9a-f-]{36}$/)
    expect(lines[1]).toBe('invalid_event The event is not valid. error: This status requires an error.')
  })
})
