import { execFile } from 'node:child_process'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startPostgres } from '@tidings/stack/servers/postgres'
import { findRedisServer, startRedis } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { inheritedEnv } from '../env.ts'
import { type Check, check, type Row, runUnderLoad, type Stage } from '../row.ts'
import { countUnfinished, readStores } from '../settle.ts'
import { createSystem, requireRedis, type Servers, type System } from '../system.ts'

const run = promisify(execFile)
const FULL_MS = 8_000

/** A disk of its own for a store, which is filled under load and freed again. Mounting one needs root. */
export const fullDiskRows: Row[] = [
  {
    name: 'redis-disk-full',
    fault: "Redis' disk full, then freed",
    short: false,
    run: (stage) => onSmallDisk(stage, 64, (disk) => onFullDisk(stage, disk, 'redis')),
  },
  {
    name: 'postgres-disk-full',
    fault: "PostgreSQL's disk full, then freed",
    short: false,
    run: (stage) => onSmallDisk(stage, 400, (disk) => onFullDisk(stage, disk, 'postgres')),
  },
]

async function onFullDisk(stage: Stage, disk: string, store: 'redis' | 'postgres'): Promise<Check[]> {
  const dataDir = join(disk, store)
  const server = findRedisServer(inheritedEnv().PATH)
  const servers: Servers = { ...stage.servers, stop: async () => {} }
  if (store === 'redis' && server !== undefined) servers.redis = await startRedis({ dataDir, server })
  if (store === 'postgres')
    servers.postgres = await startPostgres({
      dataDir,
      settings: { max_wal_size: '64MB', min_wal_size: '32MB' },
    })
  const restart = async () => {
    // A store that ended on its full disk is started again by a supervisor.
    if (store === 'redis') await requireRedis(servers).start()
    else await servers.postgres.start()
  }
  try {
    return await runUnderLoad(
      {
        ...stage,
        servers,
        createSystem: (options = {}) => createSystem(servers, { name: `${store}-disk-full`, ...options }),
      },
      {},
      async ({ system, ledger }) => {
        await sleep(2_000)
        const free = await fill(join(disk, 'filler'))
        await sleep(FULL_MS)
        const during = ledger.acceptedShare
        const bitten =
          store === 'redis'
            ? check('the queue was away', await saysQueueIsAway(system), 'as the log says')
            : await countWaiting(system)
        await free()
        await restart()
        const before = ledger.answered('202')
        await waitFor('posts to be accepted', () => ledger.answered('202') > before + 50, {
          timeoutMs: 60_000,
        })
        await sleep(2_000)
        return [
          bitten,
          check('accepted while full', during > 0.9, `${(during * 100).toFixed(1)} %`),
          await noDeadLetters(system),
        ]
      },
    )
  } finally {
    if (store === 'redis') await requireRedis(servers).kill9()
    else await servers.postgres.stop('immediate')
  }
}

const saysQueueIsAway = async (system: System) =>
  (await system.apis[0]?.readLog())?.includes('queue is away') ?? false

async function countWaiting(system: System): Promise<Check> {
  const waiting = await countUnfinished(system)
  return check('jobs were waiting', waiting > 50, waiting)
}

async function noDeadLetters(system: System): Promise<Check> {
  const { deadLetters } = await readStores(system)
  return check('0 dead letters', deadLetters.size === 0, deadLetters.size)
}

/** Mounts a disk in memory while `use` runs. Without the right to mount, the row is skipped. */
async function onSmallDisk(
  stage: Stage,
  megabytes: number,
  use: (disk: string) => Promise<Check[]>,
): Promise<Check[]> {
  const disk = join(stage.servers.dir, `disk-${megabytes}`)
  await mkdir(disk, { recursive: true })
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0777`, 'tmpfs', disk])
  } catch {
    process.stderr.write('A row with a full disk is SKIPPED: this user may not mount one.\n')
    return [check('SKIPPED', true, 'this user may not mount a disk')]
  }
  try {
    return await use(disk)
  } finally {
    await run('umount', ['-l', disk])
  }
}

/** Fills a disk. Returns a function that frees it. */
async function fill(file: string): Promise<() => Promise<void>> {
  const filler = await open(file, 'w')
  const block = Buffer.alloc(64 * 1024)
  const writeMore = async () => {
    for (;;) {
      try {
        await filler.write(block)
      } catch {
        return
      }
    }
  }
  await writeMore()
  // What the store frees by itself is taken too.
  const timer = setInterval(() => void writeMore(), 100)
  return async () => {
    clearInterval(timer)
    await filler.close()
    await rm(file)
  }
}
