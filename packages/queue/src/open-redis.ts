import { parseRedisUrl, type RedisAddress } from '@tidings/runtime/redis-url'
import { Cluster, type ClusterOptions, Command, Redis, type RedisOptions, ReplyError } from 'ioredis'
import { createClusterConnector } from './cluster-connector.ts'
import { CONNECTION_CLOSED } from './connection-closed.ts'
import { FollowingSentinelConnector } from './sentinel-connector.ts'

/** Where a Redis is: one server, a master that Sentinels know, or a cluster. */
export interface RedisTarget {
  /** As parseRedisUrl takes it. */
  url: string
  /** PEM texts for a URL with rediss. Without `ca`, the certificates that Node.js trusts apply. */
  tls?: { ca?: string | undefined; cert?: string | undefined; key?: string | undefined } | undefined
}

/** Cluster has the same commands, and sends each to the node that has its key. */
export type RedisConnection = Redis | Cluster

/**
 * How a Redis connection behaves when Redis does not answer:
 * - `fail-fast`: commands fail soon. For requests that have another store to use.
 * - `patient`: commands wait. For workers.
 * - `operator`: a command whose connection is lost fails and is not sent again. For the CLI: a repeated command could
 *   undo the change of another operator.
 */
export type ConnectionMode = 'fail-fast' | 'patient' | 'operator'

/** Time limit of a command on a fail-fast connection, in milliseconds. */
const FAIL_FAST_COMMAND_TIMEOUT_MS = 300
const RECONNECT_CAP_MS = 1_000
/**
 * A connection that gets no answer for this long is closed and opened again, in milliseconds. Otherwise a peer that
 * vanished without closing would be waited for until the kernel gives up, after about 15 minutes. It must exceed the
 * 10 s for which a worker blocks while it waits for jobs.
 */
export const SILENCE_LIMIT_MS = 15_000
const FAIL_FAST_SILENCE_LIMIT_MS = 2_000
/** How long a connection that we close may take. A frozen master never closes its end. In milliseconds. */
const CLOSE_LIMIT_MS = 300

const CONNECTION_OPTIONS = {
  'fail-fast': {
    enableOfflineQueue: false,
    // The caller stopped waiting and stored the events in another way.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    commandTimeout: FAIL_FAST_COMMAND_TIMEOUT_MS,
    socketTimeout: FAIL_FAST_SILENCE_LIMIT_MS,
  },
  patient: { maxRetriesPerRequest: null },
  // With any other number, a command that is not sent again would never settle.
  operator: { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
} as const satisfies Record<ConnectionMode, RedisOptions>

/** A cluster asks again for its nodes this often, in milliseconds. A node that went away comes back so. */
const SLOTS_REFRESH_MS = 5_000
/** Time between two attempts of a command whose node is away or moved, in milliseconds. */
const CLUSTER_RETRY_MS = 100

/**
 * A command goes to another node when its slot moved. `patient` commands also wait for a failover, for half a minute.
 * `fail-fast` commands wait for 160 ms: as long as the connection to a node takes that was not needed yet. Those of an
 * operator fail with the connection of their node.
 */
const CLUSTER_OPTIONS = {
  'fail-fast': {
    enableOfflineQueue: false,
    retryDelayOnFailover: 20,
    retryDelayOnClusterDown: 0,
    maxRedirections: 8,
  },
  patient: { maxRedirections: 300, retryDelayOnMoved: CLUSTER_RETRY_MS },
  operator: { retryDelayOnFailover: 0 },
} as const satisfies Record<ConnectionMode, ClusterOptions>

interface OpenRedisOptions {
  /** See SILENCE_LIMIT_MS. Tests pass a shorter one. */
  silenceLimitMs?: number
  /** Does not ask with INFO whether Redis still loads its data. For a Redis that forbids INFO. */
  skipReadyCheck?: boolean
}

const retryStrategy = (attempt: number) => Math.min(attempt * 50, RECONNECT_CAP_MS)

/**
 * Opens a connection that connects in the background and reconnects within a second, for ever.
 *
 * @throws RedisUrlError
 */
export function openRedis(
  target: RedisTarget,
  mode: ConnectionMode,
  onError: (error: Error) => void,
  { silenceLimitMs = SILENCE_LIMIT_MS, skipReadyCheck = false }: OpenRedisOptions = {},
): RedisConnection {
  const address = parseRedisUrl(target.url)
  const options = {
    ...commonOptions(target, address, silenceLimitMs),
    ...CONNECTION_OPTIONS[mode],
    ...(skipReadyCheck && { enableReadyCheck: false }),
  }
  if (address.topology !== 'cluster') return openServer(target, address, options, onError)
  let refused: Error | undefined
  const Connector = createClusterConnector((error) => {
    refused = error
    cluster.emit('node error', error)
  })
  const cluster: Cluster = new Cluster(address.nodes, {
    clusterRetryStrategy: retryStrategy,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    slotsRefreshTimeout: 2_000,
    // The certificates name hosts, and the startup nodes are known by them.
    dnsLookup: (host, done) => done(null, host),
    ...CLUSTER_OPTIONS[mode],
    redisOptions: { ...options, ...loginOf(address), Connector },
  })
  // The same reason each time, so that a log can say it once.
  const reasonOf = (error: Error) => (error.message === CONNECTION_CLOSED ? (refused ?? error) : error)
  cluster.on('error', (error: Error) => {
    if ('lastNodeError' in error && error.lastNodeError instanceof Error)
      error.lastNodeError = reasonOf(error.lastNodeError)
    onError(nodeErrorOf(error))
  })
  cluster.on('node error', (error: Error) => onError(reasonOf(error)))
  return cluster
}

/**
 * Opens a patient connection for SUBSCRIBE. On a cluster it is one to any node: each node has the messages of all, and
 * each `ready` shows that messages may have been missed, as elsewhere.
 */
export function openSubscriber(target: RedisTarget, onError: (error: Error) => void): Redis {
  const address = parseRedisUrl(target.url)
  const options = { ...commonOptions(target, address, SILENCE_LIMIT_MS), ...CONNECTION_OPTIONS.patient }
  if (address.topology !== 'cluster') return openServer(target, address, options, onError)
  const nodes = address.nodes
  const nodeAt = (attempt: number) => nodes[attempt % nodes.length]
  const redis: Redis = new Redis({
    ...options,
    ...loginOf(address),
    ...nodeAt(Math.floor(Math.random() * nodes.length)),
    retryStrategy(attempt) {
      Object.assign(redis.options, nodeAt(attempt))
      return retryStrategy(attempt)
    },
  })
  redis.on('error', onError)
  return redis
}

function openServer(
  target: RedisTarget,
  address: RedisAddress,
  options: ServerOptions,
  onError: (error: Error) => void,
): Redis {
  const all = { retryStrategy, ...options }
  const redis =
    address.topology === 'sentinel'
      ? new Redis({ ...all, ...loginOf(address), ...sentinelOptions(address, all) })
      : new Redis(target.url, all)
  redis.on('error', (error: Error) => {
    if (isWithoutInfo(error)) redis.options.enableReadyCheck = false
    onError(error)
  })
  return redis
}

type ServerOptions = ReturnType<typeof commonOptions> & (typeof CONNECTION_OPTIONS)[ConnectionMode]

const commonOptions = ({ tls }: RedisTarget, address: RedisAddress, silenceLimitMs: number) =>
  ({
    connectTimeout: 2_000,
    socketTimeout: silenceLimitMs,
    disconnectTimeout: CLOSE_LIMIT_MS,
    ...(address.tls && { tls: { ...tls } }),
  }) as const

const loginOf = ({ username, password }: RedisAddress) => ({
  ...(username !== undefined && { username }),
  ...(password !== undefined && { password }),
})

/** Follows the Sentinels' message of a failover: a frozen master does not close its connections. */
function sentinelOptions(address: RedisAddress, { tls }: ServerOptions) {
  const { username, password } = address.sentinelLogin ?? {}
  return {
    sentinels: address.nodes,
    name: address.masterName ?? '',
    db: address.db,
    failoverDetector: true,
    Connector: FollowingSentinelConnector,
    sentinelRetryStrategy: retryStrategy,
    sentinelCommandTimeout: 1_000,
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(tls && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  } satisfies RedisOptions
}

/** The error of a node that the error of a cluster wraps; otherwise the error itself. */
export const nodeErrorOf = (error: Error): Error =>
  'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : error

/** Whether a Redis or a Sentinel answered and refused the connection, for example because of a wrong password. */
export function isRefusal(error: Error): boolean {
  const answer = nodeErrorOf(error).cause ?? nodeErrorOf(error)
  return answer instanceof ReplyError && !isWithoutInfo(answer as Error)
}

/** A managed service may have removed INFO. Then ioredis cannot tell whether Redis still loads its data. */
const isWithoutInfo = ({ message }: Error): boolean => /unknown command.*info/i.test(message)

/** The connections to each master: one, or several on a cluster. */
export const mastersOf = (redis: RedisConnection): Redis[] =>
  redis instanceof Cluster ? redis.nodes('master') : [redis]

/** @throws Error while no master of the cluster is known to have the key. */
export function nodeOf(redis: RedisConnection, key: string): Redis {
  if (!(redis instanceof Cluster)) return redis
  const owner = redis.slots[new Command('get', [key]).getSlot() ?? 0]?.[0]
  const node = redis.nodes('master').find(({ options }) => `${options.host}:${options.port}` === owner)
  if (node === undefined) throw new Error('The Redis node that has these keys is away')
  return node
}
