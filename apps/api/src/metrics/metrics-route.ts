import { BlockList, isIPv6 } from 'node:net'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { notFound } from '../http/read-query.ts'
import type { Operation } from '../openapi/operation.ts'

/** Loopback, private and link-local networks. */
const INTERNAL_SUBNETS: readonly [network: string, prefix: number][] = [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
]

const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']

/** GET /metrics for a Prometheus in the internal network. Other callers get 404. */
export function metricsRoutes({ registry }: { registry: Registry }): Hono<ApiEnv> {
  const internalNetworks = createBlockList(INTERNAL_SUBNETS)
  const app = new Hono<ApiEnv>()
  app.get('/metrics', async (c) => {
    if (!isInternal(c, internalNetworks)) throw notFound()
    return new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } })
  })
  return app
}

/** Whether the request came directly from an internal network. A proxy's requests may come from outside. */
function isInternal(c: ApiContext, networks: BlockList): boolean {
  const { socket, headers } = c.env.incoming
  if (FORWARDING_HEADERS.some((name) => headers[name] !== undefined)) return false
  const address = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '')
  return address !== undefined && networks.check(address, familyOf(address))
}

function createBlockList(subnets: typeof INTERNAL_SUBNETS): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of subnets) list.addSubnet(network, prefix, familyOf(network))
  return list
}

const familyOf = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4')

export const metricsOperations: readonly Operation[] = [
  {
    id: 'getMetrics',
    method: 'get',
    path: '/metrics',
    tag: 'service',
    summary: 'Metrics for Prometheus',
    description: 'Only for direct connections from loopback and private networks. Others get 404.',
    access: 'public',
    answers: { 200: { description: 'Prometheus text format', other: 'text/plain' } },
  },
]
