import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { type Database, openDatabase } from '@tidings/db/database'
import { AUDIT_PROBE, PROBE_SOURCE } from '@tidings/db/events/probe-events'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { statusEventSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { type Cli, createCli } from '../../testing/cli-process.ts'
import type { CheckResult } from './check-result.ts'
import type { ProbeStep } from './probe.ts'

const STEPS = ['API to row', 'Queue to row', 'Queue to dead letter']
const NOTHING_LEFT = { 'Main queue': '0 waiting, 0 active, 0 delayed', 'Dead letters': '0', Outbox: '0' }

describeBackends('tidings doctor --probe', (kind) => {
  const releaser = useReleaser()
  let stack: TestStack
  let db: Database
  let cli: Cli

  beforeAll(async () => {
    stack = await startTestStack(releaser, kind, { LOG_LEVEL: 'silent' })
    cli = createCli({ DATA_DIR: stack.dataDir, TIDINGS_OPERATOR: 'ada' })
    db = openDatabase({
      url: stack.databaseUrl,
      applicationName: 'tidings-test',
      maxConnections: 2,
      onError: () => {},
    })
    releaser.onRelease(() => db.close())
  })
  beforeEach(() => query('TRUNCATE operator_audit'))

  const query = async (sql: string) => (await db.pool.query(sql)).rows
  async function probe(...args: string[]) {
    const { exitCode, stdout, stderr } = await cli.run('doctor', '--probe', '-o', 'json', ...args)
    const steps: ProbeStep[] = stdout === '' ? [] : JSON.parse(stdout)
    return { exitCode, stderr, steps }
  }
  const auditResults = async () =>
    (await query(`SELECT result FROM operator_audit WHERE action = '${AUDIT_PROBE}' ORDER BY at, id`)).map(
      ({ result }) => result,
    )
  async function doctor(): Promise<Record<string, string>> {
    const checks: CheckResult[] = JSON.parse((await cli.run('doctor', '-o', 'json')).stdout)
    return Object.fromEntries(checks.map(({ check, found }) => [check, found]))
  }
  async function expectNothingLeft() {
    expect(await query(`SELECT id FROM notification_status WHERE source = '${PROBE_SOURCE}'`)).toEqual([])
    expect(await query(`SELECT id FROM service_keys WHERE name = '${PROBE_SOURCE}'`)).toEqual([])
    // BullMQ finishes a job a moment after its dead letter was written.
    await waitFor('nothing to be left', async () => {
      const found = await doctor()
      return Object.entries(NOTHING_LEFT).every(([check, nothing]) => found[check] === nothing)
    })
  }
  /** Runs while the worker takes no jobs. */
  async function withoutWorker<Result>(run: () => Promise<Result>): Promise<Result> {
    const pid = stack.pid('worker')
    process.kill(pid, 'SIGSTOP')
    try {
      return await run()
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  }

  test('times each step and removes all its traces: exit code 0', async () => {
    const { exitCode, stderr, steps } = await probe()
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(steps).toEqual(STEPS.map((step) => ({ step, result: 'ok', ms: expect.any(Number) })))
    expect(await auditResults()).toEqual(['started', 'done'])
    await expectNothingLeft()
  })

  test('ends with exit code 1 when no worker runs, names what to look at, and removes the events', async () => {
    await withoutWorker(async () => {
      const { exitCode, stderr, steps } = await probe('--timeout', '1s')
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: 'tidings: 3 of 3 events did not arrive.\n',
      })
      expect(steps).toEqual(
        STEPS.map((step) => ({
          step,
          result: 'failure',
          ms: null,
          advice: expect.stringContaining('Is a worker running?'),
        })),
      )
      expect(await auditResults()).toEqual(['started', 'done'])
      await expectNothingLeft()
    })
    await expectNothingLeft()
  })

  test('removes the events at Ctrl-C: exit code 5', async () => {
    await withoutWorker(async () => {
      const { child, ended } = cli.start('doctor', '--probe')
      await waitFor(
        'the probe to send its events',
        async () => (await doctor())['Main queue']?.startsWith('3 waiting'),
        { timeoutMs: 30_000 },
      )
      child.kill('SIGINT')
      expect(await ended).toMatchObject({
        exitCode: 5,
        stderr: 'tidings: Interrupted. The events of the probe were removed.\n',
      })
      await expectNothingLeft()
    })
  })

  test('an API that does not accept the event is a failure: exit code 1', async () => {
    const { exitCode, steps } = await probe('--api-url', 'http://127.0.0.1:1')
    expect(exitCode).toBe(1)
    expect(steps).toMatchObject([
      { result: 'failure', advice: expect.stringContaining('Look at http://127.0.0.1:1/health/ready') },
      { result: 'ok' },
      { result: 'ok' },
    ])
    await expectNothingLeft()
  })

  test('skips the API when its URL is not known, and says so: exit code 0', async () => {
    const { API_URL: _, ...variables } = parseEnv(await readFile(stack.devEnvFile, 'utf8'))
    const other = createCli(variables as Record<string, string>)
    const { exitCode, stdout } = await other.run('doctor', '--probe')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(
      /^skipped\tAPI to row\t-\tNo URL of the API is known: add --api-url, or set API_URL\.\n/,
    )
  })

  test('removes the traces of a probe that was killed', async () => {
    const failed = makeFailedEvent({
      fields: { source: PROBE_SOURCE, notification_id: 'tidings-probe-killed' },
    })
    await storeStatusEvents(db, [statusEventSchema.parse(failed.event)])
    await createServiceKey(db, PROBE_SOURCE, ['status:write:email'])
    await query("UPDATE service_keys SET created_at = now() - interval '1 hour'")
    await query(`INSERT INTO operator_audit (id, at, actor, action, selector, matched, changed, result) VALUES
      (gen_random_uuid(), now() - interval '1 hour', 'ada', '${AUDIT_PROBE}',
        '{"run": "1", "notification_id": "tidings-probe-killed", "dead_letter": "dead-x"}', 0, 0, 'started')`)
    expect(await probe()).toMatchObject({ exitCode: 0 })
    await expectNothingLeft()
  })

  test('leaves the report of events balanced, also when events did not arrive', async () => {
    await waitFor('the counters to be written', async () =>
      /^(\d+) accepted; \1 stored, 0 duplicate, 0 dead, 0 in flight$/.test((await doctor()).Events ?? ''),
    )
  })

  test('--read-only refuses it, wrong options are usage errors, and an unreachable store is exit code 6', async () => {
    expect(await cli.run('doctor', '--probe', '--read-only')).toMatchObject({ exitCode: 2 })
    expect(await cli.run('doctor', '--probe', '--timeout', '6m')).toMatchObject({ exitCode: 64 })
    expect(await cli.run('doctor', '--probe', '--api-url', 'localhost')).toMatchObject({ exitCode: 64 })
    const away = createCli({ DATABASE_URL: 'postgres://x:x@127.0.0.1:1/x' })
    expect(await away.run('doctor', '--probe')).toMatchObject({ exitCode: 6, stdout: '' })
    expect(await auditResults()).toEqual([])
  })
})
