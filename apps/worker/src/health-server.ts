import { type ServerType, serve } from '@hono/node-server'
import { explainListenError } from '@tidings/runtime/listen-error'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'

export interface WorkerHttpOptions {
  port: number
  host: string
  registry: Registry
  /** True while the worker takes jobs and both stores take writes. */
  isReady(): boolean
}

/**
 * Serves the worker's /health and /metrics, for probes and scrapers. They are not for the public.
 *
 * @throws StartupError when the port or the host cannot be used.
 */
export function serveWorkerHttp({ port, host, registry, isReady }: WorkerHttpOptions): Promise<ServerType> {
  const app = new Hono({ strict: false })
  app.get('/health/live', (c) => c.json({ status: 'alive' }))
  for (const path of ['/health', '/health/ready']) {
    app.get(path, (c) => {
      const ready = isReady()
      return c.json({ status: ready ? 'healthy' : 'unhealthy', service: 'tidings-worker' }, ready ? 200 : 503)
    })
  }
  app.get('/metrics', async (c) =>
    c.text(await registry.metrics(), 200, { 'content-type': registry.contentType }),
  )
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, port, hostname: host }, () => resolve(server))
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(explainListenError(error, { port, host, portVariable: 'WORKER_PORT' })),
    )
  })
}
