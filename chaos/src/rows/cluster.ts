import { setTimeout as sleep } from 'node:timers/promises'
import { nodeOf } from '@tidings/queue/open-redis'
import { askRedis } from '@tidings/stack/servers/ask-redis'
import type { RedisServer } from '@tidings/stack/servers/redis'
import type { RedisCluster } from '@tidings/stack/servers/redis-cluster'
import { pick } from '../random.ts'
import { type Check, check, type Row, type Run, runUnderLoad, type Stage } from '../row.ts'
import type { System } from '../system.ts'
import { moveSlot } from './move-slot.ts'
import { useCommandLine } from './use-command-line.ts'

const SYSTEM = { apis: 2, workers: 3, shards: 6 } as const
/** Time between two faults, in milliseconds. */
const FAULT_EVERY_MS = 5_000
const FROZEN_MS = 10_000
const DOWN_MS = 4_000
const MAX_FAULT_MINUTES = 5

export const clusterRows: Row[] = [
  {
    name: 'cluster-spread',
    fault: 'none: the load and the command line on 6 shards',
    short: true,
    run: (stage) =>
      runUnderLoad(stage, { ...SYSTEM, load: deadLetterLoad }, async ({ system, load }) => {
        await sleep(stage.short ? 4_000 : 20_000)
        const spread = await checkSpread(system)
        await load.stop()
        return [spread, ...(await useCommandLine(system)), await checkLogs(system)]
      }),
  },
  {
    name: 'cluster-reshard',
    fault: 'the slots of two shards move to other masters',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, SYSTEM, async ({ system }) => {
        const cluster = requireCluster(stage)
        await sleep(2_000)
        for (const queue of system.queues.slice(0, 2)) {
          const key = queue.toKey('wait')
          stage.progress(`moving ${queue.name}`)
          await moveSlot(cluster, key)
          await sleep(2_000)
        }
        return [await checkLogs(system)]
      }),
  },
  {
    name: 'cluster-master-away',
    fault: 'kill -9 of a master and its replica; a worker starts meanwhile',
    short: false,
    run: (stage) =>
      runUnderLoad(stage, { ...SYSTEM, load: deadLetterLoad, restWithinMs: 120_000 }, async (run) => {
        await sleep(2_000)
        return withoutOneMaster(requireCluster(stage), run, stage.short ? 10_000 : 30_000)
      }),
  },
  faultRow('cluster-faults', 'ACK_REPLICAS=0', { ACK_REPLICAS: '0' }, true),
  faultRow('cluster-faults-acked', 'ACK_REPLICAS=1', { ACK_REPLICAS: '1' }, false),
]

/** One of the faults every five seconds. */
function faultRow(name: string, title: string, env: Record<string, string>, mayLose: boolean): Row {
  return {
    name,
    fault: `${title}: kill -9, FAILOVER, FORCE, TAKEOVER, SIGSTOP of masters`,
    short: !mayLose,
    run: (stage) =>
      runUnderLoad(stage, { ...SYSTEM, env, mayLose, restWithinMs: 120_000 }, async (run) => {
        const startedAt = performance.now()
        const faults = await injectFaults(stage, run)
        const seconds = (performance.now() - startedAt) / 1_000
        const { ledger } = run
        return [
          check('faults', true, faults.join(', ')),
          check('events/s', true, Math.round(ledger.acknowledged().length / seconds)),
          check('posts accepted', true, `${(ledger.acceptedShare * 100).toFixed(2)} %`),
          check(
            'p50 and p99 of a post',
            true,
            [0.5, 0.99].map((share) => `${ledger.percentileMs(share).toFixed(1)} ms`).join(', '),
          ),
        ]
      }),
  }
}

/** Share of the events of the outage that must be rows at its end. One in 20 is a dead letter, the last are under way. */
const STORED_SHARE = 0.85

async function withoutOneMaster(
  cluster: RedisCluster,
  { system, ledger }: Run,
  awayMs: number,
): Promise<Check[]> {
  const [master] = await cluster.masters()
  const replica = master && (await findReplica(cluster, master))
  const [worker] = system.workers
  if (master === undefined || replica === undefined || worker === undefined)
    throw new Error('This row needs a master with a replica, and a worker')
  await replica.kill9()
  await master.kill9()
  // Jobs that wait on that master stay there.
  await sleep(3_000)
  const [accepted, stored] = [ledger.acknowledged().length, await countRows(system)]
  await worker.kill9()
  await worker.start()
  await worker.untilReady()
  await sleep(awayMs)
  const acceptedAway = ledger.acknowledged().length - accepted
  const storedAway = (await countRows(system)) - stored
  await master.start()
  await replica.start()
  await cluster.untilHealthy(60_000)
  return [
    check(
      'posts accepted ≥ 99 %',
      ledger.acceptedShare >= 0.99,
      `${(ledger.acceptedShare * 100).toFixed(2)} %`,
    ),
    check(
      `stored meanwhile ≥ ${STORED_SHARE * 100} % of the accepted`,
      acceptedAway > 0 && storedAway >= STORED_SHARE * acceptedAway,
      `${storedAway} of ${acceptedAway}`,
    ),
  ]
}

async function countRows({ db }: System): Promise<number> {
  const { rows } = await db.pool.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM notification_status',
  )
  return rows[0]?.count ?? 0
}

async function findReplica({ nodes }: RedisCluster, master: RedisServer): Promise<RedisServer | undefined> {
  const infos = await Promise.all(nodes.map(({ port }) => askRedis(port, 'INFO', 'replication')))
  return nodes.find((_, index) => String(infos[index]).includes(`master_port:${master.port}`))
}

type Fault = 'kill -9' | 'FAILOVER' | 'FORCE' | 'TAKEOVER' | 'SIGSTOP'
const FAULTS: readonly Fault[] = ['kill -9', 'FAILOVER', 'FORCE', 'TAKEOVER', 'SIGSTOP']

/** @returns how often each fault was injected. */
async function injectFaults(stage: Stage, { ledger }: Run): Promise<string[]> {
  const cluster = requireCluster(stage)
  const seconds = stage.short ? 10 : Math.min(stage.minutes, MAX_FAULT_MINUTES) * 60
  const count = Math.floor((seconds * 1_000) / FAULT_EVERY_MS)
  const injected = new Map<Fault, number>()
  const ending: Promise<unknown>[] = []
  await sleep(2_000)
  for (let index = 0; index < count; index++) {
    const fault = stage.short ? (FAULTS[index === 0 ? 0 : 3] ?? 'kill -9') : pick(stage.random, FAULTS)
    stage.progress(`${fault}, ${index + 1} of ${count}; ${ledger.acknowledged().length} acknowledged`)
    const isDone = await inject(fault, cluster, stage, ending)
    if (isDone) injected.set(fault, (injected.get(fault) ?? 0) + 1)
    await sleep(FAULT_EVERY_MS)
  }
  await Promise.all(ending)
  await cluster.untilHealthy(60_000)
  await sleep(2_000)
  return [...injected].map(([fault, times]) => `${fault} ×${times}`)
}

/** @returns false where no node was in a state for the fault. */
async function inject(
  fault: Fault,
  cluster: RedisCluster,
  { random }: Stage,
  ending: Promise<unknown>[],
): Promise<boolean> {
  const masters = await cluster.masters()
  const chosen = fault === 'kill -9' || fault === 'SIGSTOP' ? masters : await replicasOf(cluster, masters)
  if (chosen.length === 0) return false
  const node = pick(random, chosen)
  if (fault === 'kill -9') {
    await node.kill9()
    ending.push(sleep(DOWN_MS).then(() => node.start()))
  } else if (fault === 'SIGSTOP') {
    node.freeze()
    ending.push(sleep(FROZEN_MS).then(() => node.thaw()))
  } else {
    const how = fault === 'FAILOVER' ? [] : [fault]
    return askRedis(node.port, 'CLUSTER', 'FAILOVER', ...how).then(
      () => true,
      () => false,
    )
  }
  return true
}

async function replicasOf({ nodes }: RedisCluster, masters: readonly RedisServer[]): Promise<RedisServer[]> {
  const others = nodes.filter((node) => !masters.includes(node))
  const answer = await Promise.all(
    others.map(({ port }) => askRedis(port, 'INFO', 'replication').catch(() => '')),
  )
  return others.filter((_, index) => String(answer[index]).includes('role:slave'))
}

/** Every job has taken a number of its shard. */
async function checkSpread({ queues, redis }: System): Promise<Check> {
  if (redis === undefined) throw new Error('This row needs a Redis Cluster')
  const jobs = new Map<string, number>()
  for (const queue of queues) {
    const key = queue.toKey('id')
    const { host, port } = nodeOf(redis, key).options
    jobs.set(`${host}:${port}`, (jobs.get(`${host}:${port}`) ?? 0) + Number(await redis.get(key)))
  }
  const counts = [...jobs.values()]
  const isEven = counts.length === 3 && Math.max(...counts) <= 1.2 * Math.min(...counts)
  return check('jobs on all masters within 20 %', isEven, counts.join(', '))
}

async function checkLogs({ apis, workers }: System): Promise<Check> {
  const logs = await Promise.all([...apis, ...workers].map((app) => app.readLog()))
  const lines = logs
    .join('\n')
    .split('\n')
    .filter((line) => /CROSSSLOT|MOVED/.test(line))
  return check('no CROSSSLOT or MOVED in a log', lines.length === 0, lines[0] ?? 'none')
}

/** Some events are of a user who does not exist. */
const deadLetterLoad = {
  decorate: (n: number) =>
    n % 20 === 1 ? ({ body: { user_id: crypto.randomUUID() }, expected: 'dead letter' } as const) : undefined,
}

function requireCluster({ servers }: Stage): RedisCluster {
  if (servers.cluster === undefined) throw new Error('This row needs --topology cluster')
  return servers.cluster
}
