import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { PEER_TABLE } from '../../peers/contract/insert.ts'
import { startServer } from '../processes.ts'
import type { Site } from '../site.ts'
import { type Contender, type RunningContender, startProcesses } from './contender.ts'

const BENCH_DIR = fileURLToPath(new URL('../..', import.meta.url))

/** The usual alternatives, each set up as its documentation recommends. */
export const PEERS: readonly Contender[] = [
  peer('hono-bullmq', 'Hono + BullMQ, a job and an INSERT each', true),
  peer('fastify-pg-boss', 'Fastify + pg-boss', true),
  peer('fastify-graphile-worker', 'Fastify + graphile-worker', true),
  peer('fastify-insert', 'Fastify + INSERT in the request', false),
]

/** Servers that store nothing: the upper bound that HTTP sets. */
export const HTTP_CEILINGS: readonly Contender[] = [
  ceiling('node-http', 'node:http, nothing else'),
  ceiling('hono-echo', 'Hono, parse and validate only'),
]

function peer(name: string, label: string, hasWorker: boolean): Contender {
  const scripts = hasWorker ? ['api', 'worker'] : ['api']
  return {
    name,
    label,
    kind: 'peer',
    stores: true,
    start: (site) =>
      startServers(
        site,
        name,
        scripts.map((role) => ({ role, script: `peers/${name}/${role}.ts` })),
      ),
  }
}

function ceiling(name: string, label: string): Contender {
  return {
    name,
    label,
    kind: 'ceiling',
    stores: false,
    start: (site) => startServers(site, name, [{ role: 'api', script: `ceilings/${name}.ts` }]),
  }
}

async function startServers(
  site: Site,
  name: string,
  servers: readonly { role: string; script: string }[],
): Promise<RunningContender> {
  const port = await findFreePort()
  const env = {
    DATABASE_URL: site.databaseUrl,
    REDIS_URL: site.queue.url,
    PORT: String(port),
    API_KEY: site.apiKey,
    NODE_ENV: 'production',
  }
  return startProcesses(site.apiKey, PEER_TABLE, async (add) => {
    for (const { role, script } of servers) {
      const log = join(site.logDir, `${name}-${role}.log`)
      add(await startServer(role, join(BENCH_DIR, script), env, log))
    }
    return [`http://127.0.0.1:${port}`]
  })
}
