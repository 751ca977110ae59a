import { Hono } from 'hono'
import type { ApiEnv } from '../http/context.ts'
import type { HealthProbes } from './probes.ts'

export interface HealthDeps {
  health: HealthProbes
}

/** Health for people and gateways (the seed's shape), liveness and readiness for orchestrators. */
export function healthRoutes({ health }: HealthDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/health', async () => {
    const { database, queue } = await health.check()
    const usable = database || queue
    return respond(usable ? 200 : 503, {
      status: database && queue ? 'healthy' : usable ? 'degraded' : 'unhealthy',
      service: 'tidings',
      timestamp: new Date().toISOString(),
      dependencies: { database: stateOf(database), redis: stateOf(queue) },
    })
  })

  app.get('/health/live', () => respond(200, { status: 'alive' }))

  app.get('/health/ready', async () => {
    const ready = await health.isReady()
    return respond(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready' })
  })

  return app
}

const stateOf = (up: boolean) => (up ? 'healthy' : 'unhealthy')

function respond(status: 200 | 503, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(status === 503 && { 'retry-after': '1' }),
    },
  })
}
