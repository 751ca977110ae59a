import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { askRedis } from './ask-redis.ts'
import { findFreePort } from './free-port.ts'
import { endProcess, type GuardedProcess, spawnGuarded } from './guarded-process.ts'
import { pingRedis, type RedisServer, type RedisTls, startRedis, tlsSettings } from './redis.ts'
import { waitFor } from './wait-for.ts'
import { withLogFile } from './with-log-file.ts'

export interface SentinelSetOptions {
  /** Holds a folder for each server. */
  dataDir: string
  /** The program to run, as `findRedisServer` returns it. */
  server: string
  replicas?: number
  /** Settings of each Redis over the durable defaults, as in redis.conf. */
  settings?: Record<string, string | number>
  /** Settings of each Sentinel, as in sentinel.conf. */
  sentinelSettings?: Record<string, string | number>
  /** Adds TLS for the address 127.0.0.1. All also listen without TLS, for askRedis. */
  tls?: RedisTls
}

/** A private master with replicas on 127.0.0.1, and three Sentinels that watch it. */
export interface SentinelSet {
  readonly servers: readonly RedisServer[]
  readonly url: string
  /** The master that most Sentinels name. */
  master(): Promise<RedisServer>
  /** Makes the Sentinels choose another master now. */
  failover(): Promise<void>
  /** Resolves when the Sentinels agree, and the master has all its replicas in sync. */
  untilHealthy(timeoutMs?: number): Promise<void>
  stop(): Promise<void>
}

const MASTER_NAME = 'tidings'
const SENTINELS = 3
const DOWN_AFTER_MS = 1_000

/** Starts a master, its replicas and three Sentinels, and waits until they know each other. */
export async function startSentinelSet(options: SentinelSetOptions): Promise<SentinelSet> {
  const { dataDir, replicas = 1, tls } = options
  const servers: RedisServer[] = []
  /** The ports that the servers and the Sentinels know each other by. */
  const ports: number[] = []
  const sentinels: StartedSentinel[] = []
  const stop = async () => {
    await Promise.all(sentinels.map(({ process }) => endProcess(process, 'SIGKILL', 5_000)))
    await Promise.all(servers.map((each) => each.kill9()))
  }
  try {
    for (let index = 0; index <= replicas; index++) {
      const [master] = ports
      const tlsPort = tls && (await findFreePort())
      const started = await startRedis({
        dataDir: join(dataDir, `redis-${index}`),
        server: options.server,
        settings: {
          'repl-diskless-sync-delay': 0,
          ...(master !== undefined && { replicaof: `127.0.0.1 ${master}` }),
          ...(tlsPort && tlsSettings(tls, tlsPort)),
          ...options.settings,
        },
      })
      servers.push(started)
      ports.push(tlsPort ?? started.port)
    }
    for (let index = 0; index < SENTINELS; index++)
      sentinels.push(await startSentinel(join(dataDir, `sentinel-${index}`), ports[0] ?? 0, options))
  } catch (error) {
    await stop()
    throw error
  }
  const asked = sentinels.map(({ port }) => port)
  const set: SentinelSet = {
    servers,
    url: `${tls ? 'rediss' : 'redis'}+sentinel://${sentinels.map(({ urlPort }) => `127.0.0.1:${urlPort}`).join(',')}/${MASTER_NAME}`,
    async master() {
      const named = await Promise.all(asked.map(masterPort))
      const isNamed = (port: number | undefined) =>
        named.filter((each) => each === port).length > SENTINELS / 2
      const found = servers.find((_, index) => isNamed(ports[index]))
      if (found === undefined) throw new Error('The Sentinels do not agree on a master')
      return found
    },
    async failover() {
      const begins = () =>
        askRedis(asked[0] ?? 0, 'SENTINEL', 'FAILOVER', MASTER_NAME).then(
          () => true,
          () => false,
        )
      // Sentinels refuse shortly after another failover, and until they know a good replica.
      await waitFor('the Sentinels to begin', begins, { timeoutMs: 30_000, intervalMs: 50 })
    },
    async untilHealthy(timeoutMs = 30_000) {
      const isReady = () => isHealthy(set, asked, replicas)
      await waitFor('the Sentinels to agree', isReady, { timeoutMs, intervalMs: 50 })
    },
    stop,
  }
  await set.untilHealthy()
  return set
}

interface StartedSentinel {
  port: number
  /** The one for clients: with TLS, if there is TLS. */
  urlPort: number
  process: GuardedProcess
}

async function startSentinel(
  folder: string,
  masterPort: number,
  { server, tls, sentinelSettings }: SentinelSetOptions,
): Promise<StartedSentinel> {
  const port = await findFreePort()
  const tlsPort = tls && (await findFreePort())
  const settings = { ...(tlsPort && tlsSettings(tls, tlsPort)), ...sentinelSettings }
  await mkdir(folder, { recursive: true })
  // A Sentinel writes what it learns into its file.
  const file = join(folder, 'sentinel.conf')
  await writeFile(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 2`,
      `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER_NAME} 3000`,
      `sentinel parallel-syncs ${MASTER_NAME} 1`,
      ...Object.entries(settings).map(([name, value]) => `${name} ${value}`),
    ].join('\n'),
  )
  const process = await withLogFile(join(folder, 'sentinel.log'), (fd) =>
    spawnGuarded(server, [file, '--sentinel'], { env: {}, stdout: fd, stderr: fd, stopSignal: 'TERM' }),
  )
  await waitFor('a Sentinel to answer', () =>
    pingRedis(`redis://127.0.0.1:${port}`, 500).then(
      () => true,
      () => false,
    ),
  )
  return { port, urlPort: tlsPort ?? port, process }
}

async function masterPort(sentinel: number): Promise<number> {
  const answer = await askRedis(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)
  return Array.isArray(answer) ? Number(answer[1]) : 0
}

async function isHealthy(set: SentinelSet, sentinels: readonly number[], replicas: number): Promise<boolean> {
  const master = await set.master().catch(() => undefined)
  if (master === undefined) return false
  const info = String(await askRedis(master.port, 'INFO', 'replication').catch(() => ''))
  if (!info.includes('role:master') || info.split('state=online').length - 1 < replicas) return false
  const quorums = await Promise.all(
    sentinels.map((port) => askRedis(port, 'SENTINEL', 'CKQUORUM', MASTER_NAME).catch(() => '')),
  )
  return quorums.every((answer) => String(answer).includes(`${SENTINELS} usable Sentinels`))
}
