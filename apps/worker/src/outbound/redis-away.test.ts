import { randomUUID } from 'node:crypto'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { withOutboundQueue } from '@tidings/queue/outbound-queue'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'

const POLL = { timeoutMs: 40_000 }

describeRedis('the worker process while Redis is away', () => {
  const releaser = useReleaser()

  it('leaves messages where they are, does not flood the log, and relays them when Redis is back', async () => {
    const { database: db, url } = await createTestDatabase(releaser)
    const redis = await startTestRedis(releaser)
    const port = await findFreePort()
    const workerUrl = `http://127.0.0.1:${port}`
    const worker = await spawnApp({
      name: 'worker',
      main: 'apps/worker/src/main.ts',
      env: { DATABASE_URL: url, REDIS_URL: redis.url, WORKER_PORT: String(port) },
      readyUrl: `${workerUrl}/health/ready`,
    })
    releaser.add(worker, (it) => it.stop())
    await worker.waitUntilReady()
    const userId = randomUUID()
    await db.pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')",
      [userId],
    )

    await redis.stop()
    const isReady = async () => (await fetch(`${workerUrl}/health/ready`)).ok
    await waitFor('the worker to notice', async () => !(await isReady()), POLL)
    const kinds = ['email_verification', 'new_device'] as const
    for (const kind of kinds) await addMessage(db, { kind, userId, to: 'a@example.com' })
    const readMetric = async (name: string) =>
      new RegExp(`^${name} (.+)$`, 'm').exec(await (await fetch(`${workerUrl}/metrics`)).text())?.[1]
    await waitFor(
      'the relay to look',
      async () => Number(await readMetric('tidings_outbound_pending_age_seconds')) > 2,
    )
    expect(await readMetric('tidings_outbound_pending')).toBe('2')
    const claims = await db.pool.query(
      'SELECT claimed_until FROM outbound_messages WHERE claimed_until IS NOT NULL',
    )
    expect(claims.rows).toEqual([])

    await redis.start()
    await waitFor(
      'the messages to be queued',
      async () => (await readMetric('tidings_outbound_pending')) === '0',
      POLL,
    )
    const jobs = await withOutboundQueue(
      { kind: 'redis', url: redis.url, prefix: 'tidings' },
      () => {},
      (queue) => queue.getJobs(['waiting']),
    )
    expect(jobs.map(({ data }) => data.kind).sort()).toEqual([...kinds])
    const warnings = worker.output().match(/relay of outbound messages failed/g) ?? []
    expect(warnings.length).toBeLessThanOrEqual(3)
  })
})
