import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startApp } from '../processes.ts'
import type { Site } from '../site.ts'
import { type Contender, type RunningContender, startProcesses } from './contender.ts'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))
const READY_LIMIT_MS = 30_000

export interface TidingsSize {
  apis: number
  workers: number
  shards: number
  /** More environment variables; .env.example documents them. */
  env?: NodeJS.ProcessEnv
  /** Folder of another checkout, to compare with this one. */
  checkout?: string
}

const ONE_OF_EACH: TidingsSize = { apis: 1, workers: 1, shards: 1 }

export const TIDINGS: Contender = {
  name: 'tidings',
  label: 'Tidings',
  kind: 'tidings',
  stores: true,
  start: (site) => startTidings(site, ONE_OF_EACH),
}

/** Tidings from another checkout, on a database of that checkout's schema. Shows what a change does to the speed. */
export async function createTidingsAgainst(site: Site, checkout: string): Promise<Contender> {
  return {
    ...TIDINGS,
    name: 'tidings-against',
    label: `Tidings of ${checkout}`,
    checkout,
    site: await site.withDatabase('bench_against', checkout),
    start: (own) => startTidings(own, { ...ONE_OF_EACH, checkout }),
  }
}

/** Starts API and worker processes with their production settings; only the rate limits are off. */
export async function startTidings(site: Site, size: TidingsSize): Promise<RunningContender> {
  const env = {
    DATABASE_URL: site.databaseUrl,
    REDIS_URL: site.queue.url,
    JWT_KEYS: site.jwtKeys,
    QUEUE_SHARDS: String(size.shards),
    RATE_LIMIT_ENABLED: 'false',
    NODE_ENV: 'production',
    ...size.env,
  }
  return startProcesses(site.apiKey, 'notification_status', async (add) => {
    async function start(role: 'api' | 'worker', index: number) {
      const port = await findFreePort()
      const log = join(site.logDir, `tidings-${role}-${index}.log`)
      const url = `http://127.0.0.1:${port}`
      const portName = role === 'api' ? 'PORT' : 'WORKER_PORT'
      const main = join(size.checkout ?? CHECKOUT, 'apps', role, 'src/main.ts')
      add(await startApp(role, main, { ...env, [portName]: String(port) }, log))
      await waitFor(
        `the ${role} to be ready; see ${log}`,
        async () => (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(1_000) })).ok,
        { timeoutMs: READY_LIMIT_MS },
      )
      return url
    }
    const urls: string[] = []
    for (let n = 0; n < size.apis; n++) urls.push(await start('api', n))
    for (let n = 0; n < size.workers; n++) await start('worker', n)
    return urls
  })
}
