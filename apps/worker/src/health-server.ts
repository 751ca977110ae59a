import { type Server, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { createPlainProblem, PROBLEM_CONTENT_TYPE } from '@tidings/runtime/broken-request'
import { CONNECTION_LIMITS, createHttpServer, listen } from '@tidings/runtime/http-server'
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
export async function serveWorkerHttp({ port, host, registry, isReady }: WorkerHttpOptions): Promise<Server> {
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
  // The host is for HTTP/1.0 requests without one, which is what plain health checks send.
  const listener = getRequestListener(app.fetch, {
    hostname: 'localhost',
    errorHandler: refuseTarget,
  })
  const server = createHttpServer({ limits: CONNECTION_LIMITS, ServerResponse }, (incoming, outgoing) => {
    void listener(incoming, outgoing)
  })
  await listen(server, { port, host, portVariable: 'WORKER_PORT' })
  return server
}

/** Answers a request whose target or Host does not form a URL. */
const refuseTarget = () =>
  Response.json(createPlainProblem(400, 'The request target is not valid.'), {
    status: 400,
    headers: { 'content-type': PROBLEM_CONTENT_TYPE, connection: 'close' },
  })
