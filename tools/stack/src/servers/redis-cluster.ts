import { join } from 'node:path'
import { askRedis } from './ask-redis.ts'
import { findFreePort } from './free-port.ts'
import { type RedisServer, type RedisTls, startRedis, tlsSettings } from './redis.ts'
import { waitFor } from './wait-for.ts'

export interface RedisClusterOptions {
  /** Holds a folder for each node. */
  dataDir: string
  /** The program to run, as `findRedisServer` returns it. */
  server: string
  masters?: number
  /** Replicas of each master. */
  replicas?: number
  nodeTimeoutMs?: number
  /** Settings of each node over the durable defaults, as in redis.conf. */
  settings?: Record<string, string | number>
  /** Adds TLS: the nodes announce themselves as `host`. They also listen without TLS, for askRedis. */
  tls?: RedisTls & { host: string }
}

/** A private Redis Cluster on 127.0.0.1. */
export interface RedisCluster {
  /** The masters come first, in the order of their slots. A failover changes the roles, not this list. */
  readonly nodes: readonly RedisServer[]
  readonly url: string
  /** The nodes that say that they are masters with slots. Leaves out nodes that do not answer. */
  masters(): Promise<RedisServer[]>
  /** Resolves when every slot has a master, and every master that answers `replicas` of them in sync. */
  untilHealthy(timeoutMs?: number): Promise<void>
  stop(): Promise<void>
}

const SLOTS = 16_384

/** Starts the nodes and joins them: each master owns an equal range of slots. */
export async function startRedisCluster(options: RedisClusterOptions): Promise<RedisCluster> {
  const { dataDir, server, masters = 3, replicas = 1, nodeTimeoutMs = 2_000, tls } = options
  const count = masters * (1 + replicas)
  const busPorts = await Promise.all(Array.from({ length: count }, findFreePort))
  const tlsPorts = await Promise.all(Array.from({ length: tls ? count : 0 }, findFreePort))
  const started = await Promise.allSettled(
    busPorts.map((busPort, index) =>
      startRedis({
        dataDir: join(dataDir, `node-${index}`),
        server,
        settings: {
          'cluster-enabled': 'yes',
          'cluster-port': busPort,
          // A node that has met no other does not know its address, and ioredis then finds none.
          'cluster-announce-ip': '127.0.0.1',
          'cluster-node-timeout': nodeTimeoutMs,
          // A failover must not wait for the data of a replica that was away.
          'cluster-replica-validity-factor': 0,
          'repl-diskless-sync-delay': 0,
          ...(tls && {
            ...tlsSettings(tls, tlsPorts[index] ?? 0),
            'tls-cluster': 'yes',
            'cluster-announce-hostname': tls.host,
            'cluster-preferred-endpoint-type': 'hostname',
          }),
          ...options.settings,
        },
      }),
    ),
  )
  const nodes = started.filter((each) => each.status === 'fulfilled').map(({ value }) => value)
  const stop = async () => void (await Promise.all(nodes.map((node) => node.kill9())))
  const cluster: RedisCluster = {
    nodes,
    url: tls
      ? `rediss+cluster://${tlsPorts.map((port) => `${tls.host}:${port}`).join(',')}`
      : `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    async masters() {
      const isMaster = await Promise.all(nodes.map((node) => ownsSlots(node).catch(() => false)))
      return nodes.filter((_, index) => isMaster[index])
    },
    async untilHealthy(timeoutMs = 30_000) {
      const isReady = () => isHealthy(cluster, masters, replicas)
      await waitFor('the cluster to be healthy', isReady, { timeoutMs, intervalMs: 50 })
    },
    stop,
  }
  try {
    for (const each of started) if (each.status === 'rejected') throw each.reason
    await joinNodes(cluster, busPorts, masters)
    await cluster.untilHealthy()
    return cluster
  } catch (error) {
    await stop()
    throw error
  }
}

async function joinNodes(
  { nodes }: RedisCluster,
  busPorts: readonly number[],
  masters: number,
): Promise<void> {
  const [first] = nodes
  if (first === undefined) return
  const boundary = (master: number) => Math.round((master * SLOTS) / masters)
  for (const [index, node] of nodes.entries()) {
    if (index < masters)
      await askRedis(node.port, 'CLUSTER', 'ADDSLOTSRANGE', boundary(index), boundary(index + 1) - 1)
    await askRedis(node.port, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    if (node !== first)
      await askRedis(first.port, 'CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[index] ?? 0)
  }
  const ids = await Promise.all(
    nodes.map(async (node) => String(await askRedis(node.port, 'CLUSTER', 'MYID'))),
  )
  for (const [index, node] of nodes.entries()) {
    const master = ids[index % masters] ?? ''
    if (index < masters) continue
    await waitFor('the nodes to know each other', async () => {
      const known = String(await askRedis(node.port, 'CLUSTER', 'NODES'))
      return ids.every((id) => known.includes(id))
    })
    await askRedis(node.port, 'CLUSTER', 'REPLICATE', master)
  }
}

async function isHealthy(cluster: RedisCluster, masters: number, replicas: number): Promise<boolean> {
  const owners = await cluster.masters()
  if (owners.length < masters) return false
  const infos = await Promise.all(
    cluster.nodes.map(async (node) => String(await askRedis(node.port, 'CLUSTER', 'INFO').catch(() => ''))),
  )
  if (!infos.every((info) => info.includes('cluster_state:ok'))) return false
  const counts = await Promise.all(
    owners.map(async (node) => {
      const info = String(await askRedis(node.port, 'INFO', 'replication').catch(() => ''))
      return info.split('state=online').length - 1
    }),
  )
  return counts.reduce((sum, online) => sum + online, 0) >= masters * replicas
}

async function ownsSlots(node: RedisServer): Promise<boolean> {
  const mine = String(await askRedis(node.port, 'CLUSTER', 'NODES'))
    .split('\n')
    .find((line) => line.includes('myself'))
  return (
    mine !== undefined &&
    /\bmaster\b/.test(mine) &&
    / \d+(-\d+)?( |$)/.test(mine.split(' connected')[1] ?? '')
  )
}
