import { Hono } from 'hono'
import { z } from 'zod'
import type { ApiEnv } from '../http/context.ts'
import type { Operation } from '../openapi/operation.ts'
import type { BacklogWatch } from './backlog-watch.ts'
import type { HealthProbes } from './probes.ts'

export interface HealthDeps {
  health: HealthProbes
  backlog: Pick<BacklogWatch, 'isBeyondLimits'>
}

/** GET /health in the shape of the Django service, plus liveness and readiness for orchestrators. */
export function healthRoutes({ health, backlog }: HealthDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/health', async () => {
    const [{ database, queue }, isBehind] = await Promise.all([health.check(), backlog.isBeyondLimits()])
    const usable = database || queue
    const isWell = database && queue && !isBehind
    return respond(usable ? 200 : 503, {
      status: isWell ? 'healthy' : usable ? 'degraded' : 'unhealthy',
      service: 'tidings',
      timestamp: new Date().toISOString(),
      dependencies: { database: toState(database), redis: toState(queue) },
    })
  })

  app.get('/health/live', () => respond(200, { status: 'alive' }))

  app.get('/health/ready', async () => {
    const ready = await health.isReady()
    return respond(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready' })
  })

  return app
}

const toState = (isUp: boolean) => (isUp ? 'healthy' : 'unhealthy')

function respond(status: 200 | 503, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(status === 503 && { 'retry-after': '1' }),
    },
  })
}

const dependencySchema = z.enum(['healthy', 'unhealthy']).meta({ id: 'DependencyHealth' })
const healthSchema = z.strictObject({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  service: z.literal('tidings'),
  timestamp: z.iso.datetime(),
  dependencies: z.strictObject({ database: dependencySchema, redis: dependencySchema }),
})
const livenessSchema = z.strictObject({ status: z.literal('alive') })
const readinessSchema = z.strictObject({ status: z.enum(['ready', 'not_ready']) })

export const healthOperations: readonly Operation[] = [
  {
    id: 'getHealth',
    method: 'get',
    path: '/health',
    tag: 'service',
    summary: 'Whether the service is healthy',
    description:
      '`degraded`: events are accepted, but one store is away, an event has waited for 5 minutes, or a dead letter for 7 days.',
    access: 'public',
    answers: {
      200: { description: 'Healthy or degraded', json: healthSchema },
      503: { description: 'Both stores are away', json: healthSchema },
    },
  },
  {
    id: 'getLiveness',
    method: 'get',
    path: '/health/live',
    tag: 'service',
    summary: 'Liveness: the process answers',
    access: 'public',
    answers: { 200: { description: 'Alive', json: livenessSchema } },
  },
  {
    id: 'getReadiness',
    method: 'get',
    path: '/health/ready',
    tag: 'service',
    summary: 'Readiness: the process can take traffic',
    access: 'public',
    answers: {
      200: { description: 'Ready', json: readinessSchema },
      503: { description: 'Starting, stopping or without stores', json: readinessSchema },
    },
  },
]
