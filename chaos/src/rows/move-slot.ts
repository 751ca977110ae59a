import { askRedis } from '@tidings/stack/servers/ask-redis'
import type { RedisCluster } from '@tidings/stack/servers/redis-cluster'
import { z } from 'zod'

const KEYS_AT_ONCE = 100

/** Moves the slot of a key to another master as `redis-cli --cluster reshard` does, while clients use it. */
export async function moveSlot(cluster: RedisCluster, key: string): Promise<void> {
  const masters = await cluster.masters()
  const slot = Number(await askRedis(cluster.nodes[0]?.port ?? 0, 'CLUSTER', 'KEYSLOT', key))
  const owned = await Promise.all(masters.map(async ({ port }) => ownsSlot(port, slot)))
  const from = masters[owned.indexOf(true)]
  const to = masters[(owned.indexOf(true) + 1) % masters.length]
  if (from === undefined || to === undefined || from === to)
    throw new Error(`No two masters for slot ${slot}`)
  const [fromId, toId] = await Promise.all([from, to].map(({ port }) => askRedis(port, 'CLUSTER', 'MYID')))
  await askRedis(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId))
  await askRedis(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId))
  for (;;) {
    const keys = z
      .array(z.string())
      .parse(await askRedis(from.port, 'CLUSTER', 'GETKEYSINSLOT', slot, KEYS_AT_ONCE))
    if (keys.length === 0) break
    await askRedis(from.port, 'MIGRATE', '127.0.0.1', to.port, '', 0, 1_000, 'KEYS', ...keys)
  }
  for (const { port } of [to, from, ...masters])
    await askRedis(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(toId))
}

async function ownsSlot(port: number, slot: number): Promise<boolean> {
  const range = z
    .tuple([z.int(), z.int(), z.tuple([z.string(), z.int()]).rest(z.unknown())])
    .rest(z.unknown())
  const ranges = z.array(range).parse(await askRedis(port, 'CLUSTER', 'SLOTS'))
  return ranges.some(([first, last, [, owner]]) => slot >= first && slot <= last && owner === port)
}
