import { openDatabase } from '@tidings/db/database'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { findProgram } from '@tidings/stack/servers/find-program'
import { startPgbouncer } from '@tidings/stack/servers/pgbouncer'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startStrictPooler } from '@tidings/stack/testing/strict-pooler'
import {
  createDirectDatabase,
  createTestBackend,
  makeTestFolder,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { openQueue, openWorker, prepareQueueBackend, type QueueBackend } from './backend.ts'
import { openDeadLetters } from './dead-letters/open.ts'
import { DEAD_LETTER_QUEUE } from './policy.ts'
import { bury, makeFailedEvent } from './testing/dead-letter-fixtures.ts'

const onError = () => {}

const program = findProgram('pgbouncer', process.env.PATH)

describe.skipIf(program === undefined)(
  `the queue in PostgreSQL behind PgBouncer${program ? '' : ': NO PGBOUNCER ON THE PATH'}`,
  () => {
    const releaser = useReleaser()

    it('is refused with the reason, and changes no session of others', async () => {
      const { url, database } = await createDirectDatabase(releaser)
      const name = new URL(url).pathname.slice(1)
      await prepareQueueBackend({ kind: 'postgres', url, schema: 'bullmq' })
      const bouncer = await startPgbouncer({
        dataDir: await makeTestFolder(releaser),
        program: program ?? '',
        target: url,
        poolMode: 'transaction',
        poolSize: 1,
      })
      releaser.onRelease(bouncer.stop)
      const backend: QueueBackend = { kind: 'postgres', url: bouncer.url(name), schema: 'bullmq' }
      const queue = releaser.add(openQueue<string>('pooled', backend, undefined, { onError }), (opened) =>
        opened.close(),
      )
      const deadLetters = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (opened) =>
        opened.close(),
      )
      for (const use of [
        () => queue.add('job', 'refused'),
        () => deadLetters.count(),
        () => prepareQueueBackend(backend),
      ])
        await expect(use()).rejects.toThrow('DATABASE_DIRECT_URL')

      const other = releaser.add(
        openDatabase({ url: bouncer.url(name), applicationName: 'other', maxConnections: 1, onError }),
        (opened) => opened.close(),
      )
      const SETTINGS =
        "SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS ms"
      expect((await other.pool.query(SETTINGS)).rows).toEqual([{ path: '"$user", public', ms: '0' }])
      expect((await database.pool.query('SELECT 1 FROM bullmq.job')).rows).toEqual([])
    })
  },
)

describe('behind a connection pooler that refuses startup parameters', () => {
  const releaser = useReleaser()
  let url: string
  let backend: QueueBackend
  beforeAll(async () => {
    const database = await createDirectDatabase(releaser)
    url = await startStrictPooler(database.url, releaser)
    backend = await createTestBackend('postgres', releaser, { url })
  })

  it('the stand-in refuses what PgBouncer refuses', async () => {
    const client = new pg.Client({ connectionString: url, statement_timeout: 1_000 })
    await expect(client.connect()).rejects.toThrow('unsupported startup parameter: statement_timeout')
  })

  it('a pool connects, and PostgreSQL still ends a slow statement', async () => {
    const { pool } = releaser.add(
      openDatabase({ url, applicationName: 'pooled', maxConnections: 1, statementTimeoutMs: 50, onError }),
      (database) => database.close(),
    )
    await expect(pool.query('SELECT pg_sleep(5)')).rejects.toMatchObject({ code: '57014' })
    expect((await pool.query("SELECT current_setting('application_name') AS name")).rows).toEqual([
      { name: 'pooled' },
    ])
  })

  it('the queue is prepared, takes a job and hands it to a worker', async () => {
    await prepareQueueBackend(backend)
    const queue = releaser.add(openQueue<string>('pooled', backend, undefined, { onError }), (opened) =>
      opened.close(),
    )
    const done: string[] = []
    const worker = openWorker<string>('pooled', backend, async (job) => void done.push(job.data), {})
    worker.on('error', onError)
    releaser.add(worker, () => worker.close())
    await worker.waitUntilReady()
    await queue.add('job', 'first')
    await waitFor('the job', () => done.includes('first'))
    // Waiting for the second job, the worker listens for notifications.
    await queue.add('job', 'second')
    await waitFor('the second job', () => done.includes('second'))
  })

  it('dead letters are buried, counted and read', async () => {
    await prepareQueueBackend(backend)
    const queue = releaser.add(
      openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, undefined, { onError }),
      (opened) => opened.close(),
    )
    await bury(queue, [makeFailedEvent()])
    const store = releaser.add(await openDeadLetters({ backend, shards: 1, onError }), (opened) =>
      opened.close(),
    )
    expect(await store.count()).toBe(1)
  })
})
