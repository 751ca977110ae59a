import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '@tidings/db/database'
import { bookAccepted, createIngestAccount } from '@tidings/db/events/ingest-counters'
import { migrateDatabase } from '@tidings/db/migrate'
import { openQueue, openRedis } from '@tidings/queue/backend'
import { buryEvents, type FailedEvent } from '@tidings/queue/dead-letters/bury'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { makeDeath } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createDatabase, startPostgres } from '@tidings/stack/servers/postgres'
import { startRedis } from '@tidings/stack/servers/redis'
import { createReleaser } from '@tidings/stack/testing/releaser'
import { CLI_COMMAND, createCli } from './cli-process.ts'
import { drawTerminal } from './draw-terminal.ts'
import { openTerminal } from './terminal-session.ts'

/*
 * The pictures of docs/dead-letters.md:  npm run docs:terminal
 * The real program on a real terminal, over a private PostgreSQL and a private Redis.
 */
const PICTURES = [
  {
    file: 'dead-letters-terminal.svg',
    commands: ['dlq groups', 'dlq list --limit 6', 'dlq stats'],
  },
  { file: 'doctor-terminal.svg', commands: ['doctor'] },
]
const SIZE = { columns: 120, rows: 40 }
const IMAGES = new URL('../../../../docs/images/', import.meta.url)

const KINDS: { count: number; failedEvent: Parameters<typeof makeDeath>[0] }[] = [
  { count: 42, failedEvent: {} },
  {
    count: 17,
    failedEvent: {
      reason: 'retries_exhausted',
      error: { code: '55P03', message: 'canceling statement due to lock timeout on row 12' },
      attempts: 4,
      fields: { notification_type: 'push', source: 'push-service' },
    },
  },
  {
    count: 6,
    failedEvent: {
      reason: 'conflict',
      error: { code: 'conflict', message: 'Another event with this event_id is stored.' },
      redrives: 1,
    },
  },
  {
    count: 3,
    failedEvent: {
      reason: 'invalid_event',
      error: { code: 'invalid_event', message: 'status: Invalid option: "opend" of mailbox ada@example.com' },
    },
  },
]

const releaser = createReleaser()
try {
  const cli = await seedSystem()
  for (const { file, commands } of PICTURES) {
    let shown = ''
    for (const command of commands) {
      const session = openTerminal([CLI_COMMAND, ...command.split(' ')], cli.env, SIZE)
      await session.ended
      shown += `\u001b[1;32m$\u001b[0m \u001b[1mtidings ${command}\u001b[0m\r\n${session.output()}\r\n`
    }
    await writeFile(new URL(file, IMAGES), await drawTerminal(`tidings ${commands.join(', ')}`, shown, SIZE))
    process.stdout.write(`docs/images/${file}\n`)
  }
} finally {
  await releaser.release()
}

/** A small system with some dead letters of each kind. */
async function seedSystem() {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidings-picture-'))
  releaser.onRelease(() => rm(dataDir, { recursive: true, force: true }))
  const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), durable: false })
  releaser.onRelease(() => postgres.stop())
  await createDatabase(postgres.adminUrl, 'tidings')
  await migrateDatabase(postgres.url('tidings'))
  const server = await startRedis({ dataDir: join(dataDir, 'redis') })
  releaser.onRelease(() => server.stop())
  const redis = openRedis(server.url, 'patient', (error) => process.stderr.write(`${error.message}\n`))
  const backend = { kind: 'redis', url: server.url, prefix: 'tidings' } as const
  const queue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => undefined })
  for (const { count, failedEvent } of KINDS) {
    const failedEvents: FailedEvent[] = Array.from({ length: count }, () => makeDeath(failedEvent))
    await buryEvents(queue, failedEvents)
  }
  await queue.close()
  redis.disconnect()
  // As the API that accepted them would have.
  const accepted = KINDS.reduce((sum, { count }) => sum + count, 0)
  const database = openDatabase({
    url: postgres.url('tidings'),
    applicationName: 'tidings-picture',
    maxConnections: 1,
    onError: () => undefined,
  })
  await bookAccepted(database.pool, createIngestAccount('api'), accepted)
  await database.close()
  return createCli({ DATABASE_URL: postgres.url('tidings'), REDIS_URL: server.url })
}
