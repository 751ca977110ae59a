import { BlockList, isIPv6 } from 'node:net'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { notFound } from '../http/read-query.ts'
import type { Operation } from '../openapi/operation.ts'

/** Loopback, private, shared (RFC 6598, which pods of many clusters have) and link-local networks. */
const INTERNAL_SUBNETS: readonly [network: string, prefix: number][] = [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
]

const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']

/** GET /metrics for a Prometheus in the internal network. Other callers get 404. */
export function metricsRoutes({ registry }: { registry: Registry }): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.get('/metrics', async (c) => {
    if (!isInternal(c)) throw notFound()
    return new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } })
  })
  return app
}

/** Whether the request came directly from an internal network. A proxy's requests may come from outside. */
function isInternal(c: ApiContext): boolean {
  const { socket, headers } = c.env.incoming
  if (FORWARDING_HEADERS.some((name) => headers[name] !== undefined)) return false
  return socket.remoteAddress !== undefined && isInternalAddress(socket.remoteAddress)
}

export function isInternalAddress(remoteAddress: string): boolean {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/, '')
  return internalNetworks.check(address, familyOf(address))
}

function familyOf(address: string): 'ipv6' | 'ipv4' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}

const internalNetworks = listNetworks()

function listNetworks(): BlockList {
  const networks = new BlockList()
  for (const [network, prefix] of INTERNAL_SUBNETS) networks.addSubnet(network, prefix, familyOf(network))
  return networks
}

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
