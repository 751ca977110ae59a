import { randomBytes, randomUUID } from 'node:crypto'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { openQueue } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import {
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  ENVELOPE_JOB_OPTIONS,
  OUTBOUND_QUEUE,
  STATUS_QUEUE,
} from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import type { StatusReport } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  databaseVariables,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'

// The workers wait for retries and sweeps. Both backends do so at the same time.
describe.concurrent('the log of the worker', () => {
  describeBackends('with jobs of all kinds', (kind) => {
    const releaser = useReleaser()

    it('names no event content and no person, whatever goes wrong with an event', async () => {
      const database = await createTestDatabase(releaser)
      const backend = await createTestBackend(kind, releaser, database)
      const { pool } = database.database
      // Errors of PostgreSQL quote the values that they are about.
      await pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'cannot lock the row of %', NEW.error USING ERRCODE = NEW.provider, DETAIL = NEW.metadata::text;
      END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON notification_status FOR EACH ROW
        WHEN (NEW.provider ~ '^[0-9A-Z]{5}$') EXECUTE FUNCTION refuse()`)
      const port = await findFreePort()
      const worker = await spawnApp({
        name: 'worker',
        main: 'apps/worker/src/main.ts',
        baseEnv: { PATH: process.env.PATH },
        env: {
          ...databaseVariables(database),
          WORKER_PORT: String(port),
          LOG_LEVEL: 'trace',
          ...(backend.kind === 'redis'
            ? { QUEUE_BACKEND: 'redis', REDIS_URL: backend.url, QUEUE_PREFIX: backend.prefix }
            : { QUEUE_BACKEND: 'postgres' }),
        },
        readyUrl: `http://127.0.0.1:${port}/health/ready`,
      })
      releaser.add(worker, () => worker.stop())
      await worker.waitUntilReady()

      const canary = randomBytes(9).toString('hex')
      const texts = { error: `no box ${canary}@example.com`, metadata: { to: `${canary}@example.com` } }
      const makeSecret = (fields: Partial<StatusReport> = {}) =>
        makeEvent({ notification_id: `n-${canary}-${randomUUID()}`, status: 'failed', ...texts, ...fields })
      const events: unknown[] = [
        makeSecret({ user_id: randomUUID() }),
        makeSecret({ provider: '55P03' }),
        makeSecret({ provider: '23514' }),
        { ...makeSecret(), status: `no-status-${canary}` },
        { ...makeSecret(), [`field-${canary}`]: 1 },
        `${canary}@example.com`,
      ]
      const redis =
        backend.kind === 'redis'
          ? releaser.add(
              openRedis(backend, 'patient', () => {}),
              (connection) => connection.disconnect(),
            )
          : undefined
      const queue = openQueue(STATUS_QUEUE, backend, redis, { onError: () => {} })
      const dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })
      releaser.onRelease(async () => void (await Promise.all([queue.close(), dead.close()])))
      await queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
      await queue.add(`job-${canary}`, { anything: canary }, { attempts: 1 })
      await waitFor(
        'a dead letter for each event',
        async () => (await dead.getJobCountByTypes('prioritized', 'waiting')) >= events.length,
        { timeoutMs: 30_000 },
      )

      // Two messages: one goes to the queue, and PostgreSQL refuses the other with an error that quotes it.
      const userId = randomUUID()
      await pool.query("INSERT INTO users (id, email, name, password) VALUES ($1, $2, $3, '!')", [
        userId,
        `${canary}@example.com`,
        canary,
      ])
      const { database: db } = database
      const message = { userId, to: `${canary}@example.com`, variables: { name: canary } }
      const id = await addMessage(db, { ...message, kind: 'email_verification' })
      const outbound = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, { onError: () => {} })
      releaser.onRelease(() => outbound.close())
      await waitFor('the message on the queue', async () => {
        const { rows } = await pool.query('SELECT state FROM outbound_messages WHERE id = $1', [id])
        return rows[0]?.state === 'queued'
      })
      await pool.query(`
      CREATE FUNCTION refuse_message() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'cannot change the row of %', NEW."to" USING ERRCODE = '23514', DETAIL = NEW.variables::text;
      END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON outbound_messages FOR EACH ROW EXECUTE FUNCTION refuse_message()`)
      await addMessage(db, { ...message, kind: 'new_device' })
      await waitFor('the failure', () => worker.output().includes('relay of outbound messages failed'))
      const token = new URL((await outbound.getJob(id))?.data.variables.link ?? '').searchParams.get('token')
      const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      await worker.stop()

      expect(metrics).toMatch(
        /^tidings_outbound_messages_total\{kind="email_verification",outcome="queued"\} 1$/m,
      )
      expect(metrics).toMatch(/^tidings_outbound_pending 1$/m)
      expect(token).toMatch(/^[\w-]{43}$/)
      expect(metrics + worker.output()).not.toContain(token)
      expect(metrics).not.toContain(canary)
      expect(worker.output()).toContain('PostgreSQL refuses a statement (23514)')
      expect(worker.output()).toContain('dead letters written')
      expect(worker.output()).not.toContain(canary)
    })
  })
})
