import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createReleaser, type Releaser } from '@tidings/stack/releaser'
import { type PostgresServer, startPostgres } from '@tidings/stack/servers/postgres'
import { promote, setSynchronousStandby, startStandby } from '@tidings/stack/servers/postgres-standby'
import { startTcpProxy, type TcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { type Check, check, type Row, runUnderLoad, type Stage } from '../row.ts'
import { readStores } from '../settle.ts'
import { createSystem, type Servers } from '../system.ts'

const STANDBY = 'standby'
/** How long the standby hears nothing before the primary is killed, in the row that loses. */
const LAG_MS = 2_000
/** Longer than a worker waits for a statement. */
const AWAY_MS = 40_000
/** How long the name leads to a standby that is not promoted yet. */
const READ_ONLY_MS = 1_500

export const replicaRows: Row[] = [
  replicaRow('replica-synchronous', { isSynchronous: true, short: true }),
  replicaRow('replica-synchronous-queue', { isSynchronous: true, queue: 'postgres' }),
  replicaRow('replica-asynchronous', {}),
  replicaRow('replica-lagging', { isLagging: true }),
  replicaRow('replica-standby-away', { isSynchronous: true, losesStandby: true }),
]

interface ReplicaRowOptions {
  /** Every commit waits for the standby. Otherwise events may be lost: how many is published. */
  isSynchronous?: boolean
  /** The standby hears nothing for a while before the primary is killed. */
  isLagging?: boolean
  /** The standby is killed instead of the primary: no commit ends until it is back. */
  losesStandby?: boolean
  queue?: 'postgres'
  short?: boolean
}

function replicaRow(name: string, options: ReplicaRowOptions): Row {
  const { isSynchronous = false, isLagging = false, losesStandby = false, queue, short = false } = options
  const titles = [
    isSynchronous ? 'synchronous standby' : 'asynchronous standby',
    isLagging && `${LAG_MS / 1_000} s behind`,
    queue && 'PostgreSQL queue',
  ]
  return {
    name,
    fault: `${titles.filter((title) => title).join(', ')}: ${losesStandby ? `kill -9 for ${AWAY_MS / 1_000} s` : 'primary kill -9, standby promoted'}`,
    short,
    ...(queue && { queue }),
    async run(stage) {
      const releaser = createReleaser()
      try {
        const pair = await startPair(join(stage.servers.dir, `pair-${randomUUID().slice(0, 8)}`), releaser)
        if (isSynchronous) await setSynchronousStandby(pair.primary, STANDBY)
        const ownStage = withPair(stage, pair, name, queue ?? 'redis')
        if (losesStandby) return await loseStandby(ownStage, pair)
        return await failOver(ownStage, pair, { isLagging, mayLose: !isSynchronous })
      } finally {
        await releaser.release()
      }
    },
  }
}

interface Pair {
  primary: PostgresServer
  standby: PostgresServer
  /** The way of the apps and the harness to the primary: a name that leads to another server after a failover. */
  name: TcpProxy
  /** The way of the standby to the primary. */
  stream: TcpProxy
}

async function startPair(dir: string, releaser: Releaser): Promise<Pair> {
  const primaryDir = join(dir, 'primary')
  const primary = await startPostgres({ dataDir: primaryDir })
  releaser.onRelease(() => primary.stop('immediate'))
  const name = await startTcpProxy(primary.adminUrl, releaser)
  const stream = await startTcpProxy(primary.adminUrl, releaser)
  const standby = await startStandby({
    primary,
    primaryDir,
    dataDir: join(dir, 'standby'),
    name: STANDBY,
    primaryPort: stream.port,
  })
  releaser.onRelease(() => standby.stop('immediate'))
  return { primary, standby, name, stream }
}

/** The stage with the pair in place of the one PostgreSQL. */
function withPair(stage: Stage, pair: Pair, name: string, queue: 'redis' | 'postgres'): Stage {
  const throughName = (database: string) => {
    const url = new URL(pair.primary.url(database))
    url.port = String(pair.name.port)
    return url.href
  }
  const postgres = { ...pair.primary, url: throughName, adminUrl: throughName('postgres') }
  const servers: Servers = { ...stage.servers, postgres }
  return {
    ...stage,
    servers,
    createSystem: (system = {}) => createSystem(servers, { name, queue, ...system }),
  }
}

function failOver(
  stage: Stage,
  { primary, standby, name, stream }: Pair,
  { isLagging, mayLose }: { isLagging: boolean; mayLose: boolean },
): Promise<Check[]> {
  return runUnderLoad(stage, { apis: 2, workers: 2, mayLose }, async ({ system, ledger }) => {
    await sleep(stage.short ? 2_000 : 5_000)
    if (isLagging) {
      stream.silence()
      await sleep(LAG_MS)
    }
    stage.progress('killing the primary')
    await primary.kill9()
    name.aim(standby.adminUrl)
    await sleep(READ_ONLY_MS)
    stage.progress('promoting the standby')
    const before = ledger.acknowledged().length
    const startedAt = performance.now()
    await promote(standby)
    const promotedMs = performance.now() - startedAt
    await sleep(stage.short ? 2_000 : 5_000)
    const { deadLetters } = await readStores(system)
    return [
      check('0 dead letters', deadLetters.size === 0, deadLetters.size),
      check('posts accepted', true, `${(ledger.acceptedShare * 100).toFixed(2)} %`),
      check('promoted within', true, `${Math.round(promotedMs)} ms`),
      check(
        'events acknowledged after',
        ledger.acknowledged().length > before,
        ledger.acknowledged().length - before,
      ),
    ]
  })
}

function loseStandby(stage: Stage, { standby }: Pair): Promise<Check[]> {
  return runUnderLoad(stage, { apis: 2, workers: 2 }, async ({ system, ledger }) => {
    await sleep(2_000)
    await standby.kill9()
    stage.progress('no commit ends')
    await sleep(AWAY_MS)
    await standby.start()
    await sleep(5_000)
    const { deadLetters } = await readStores(system)
    return [
      check('0 dead letters', deadLetters.size === 0, deadLetters.size),
      check('posts accepted', ledger.acceptedShare >= 0.99, `${(ledger.acceptedShare * 100).toFixed(2)} %`),
    ]
  })
}
