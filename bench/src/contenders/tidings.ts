import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createReleaser } from '@tidings/stack/releaser'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import type { RunningProcess } from '../processes.ts'
import { startApp } from '../processes.ts'
import type { Site } from '../site.ts'
import type { Contender, RunningContender } from './contender.ts'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))
const READY_LIMIT_MS = 30_000

export interface TidingsSize {
  apis: number
  workers: number
  shards: number
  /** More of the environment, as documented in .env.example. */
  env?: NodeJS.ProcessEnv
  /** Another checkout, to compare with; this one when absent. */
  checkout?: string
}

export const TIDINGS: Contender = {
  name: 'tidings',
  label: 'Tidings',
  kind: 'tidings',
  stores: true,
  start: (site) => startTidings(site, { apis: 1, workers: 1, shards: 1 }),
}

/** Tidings as another checkout has it, if one was named: what did a change do? */
export function tidingsAgainst({ against }: { against?: string | undefined }): Contender[] {
  if (against === undefined) return []
  const size = { apis: 1, workers: 1, shards: 1, checkout: against }
  const label = `Tidings of ${against}`
  return [{ ...TIDINGS, name: 'tidings-against', label, start: (site) => startTidings(site, size) }]
}

/** The real processes with their production settings; only rate limits on logins are off. */
export async function startTidings(site: Site, size: TidingsSize): Promise<RunningContender> {
  const releaser = createReleaser()
  const processes: RunningProcess[] = []
  const urls: string[] = []
  const env = {
    DATABASE_URL: site.databaseUrl,
    REDIS_URL: site.redis.url,
    JWT_KEYS: site.jwtKeys,
    QUEUE_SHARDS: String(size.shards),
    RATE_LIMIT_ENABLED: 'false',
    NODE_ENV: 'production',
    ...size.env,
  }
  async function start(role: 'api' | 'worker', index: number) {
    const port = await findFreePort()
    const log = join(site.logDir, `tidings-${role}-${index}.log`)
    const url = `http://127.0.0.1:${port}`
    const portName = role === 'api' ? 'PORT' : 'WORKER_PORT'
    const app = await startApp(
      role,
      join(size.checkout ?? CHECKOUT, 'apps', role, 'src/main.ts'),
      { ...env, [portName]: String(port) },
      log,
    )
    processes.push(releaser.add(app, (it) => it.stop()))
    await waitFor(
      `the ${role} to be ready; see ${log}`,
      async () => (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(1_000) })).ok,
      { timeoutMs: READY_LIMIT_MS },
    )
    if (role === 'api') urls.push(url)
  }
  try {
    for (let n = 0; n < size.apis; n++) await start('api', n)
    for (let n = 0; n < size.workers; n++) await start('worker', n)
  } catch (error) {
    await releaser.release()
    throw error
  }
  return { urls, bearer: site.apiKey, processes, stop: () => releaser.release() }
}
