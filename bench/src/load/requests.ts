import { makeBody } from './bodies.ts'
import { buildHookRequests } from './hook-requests.ts'
import type { LoadPlan, LoadRequest } from './protocol.ts'

/** The requests of one connection. It sends them in turn, then starts again. */
export function buildRequests(
  { traffic }: LoadPlan,
  connection: number,
  connections: number,
  count: number,
): LoadRequest[] {
  if (traffic.kind === 'requests') {
    const own = traffic.requests.filter((_, index) => index % connections === connection)
    return own.length > 0 ? own : traffic.requests
  }
  if (traffic.kind === 'hook') return buildHookRequests(traffic, connection, count)
  const path = `/api/v1/email/status/${traffic.batch === 1 ? '' : 'batch/'}`
  return Array.from({ length: count }, (_, n) => ({
    method: 'POST',
    path,
    body: makeBody(`${traffic.label}-${connection}-${n}`, traffic.batch),
  }))
}

export function buildHeaders(plan: LoadPlan): Record<string, string> {
  return {
    'content-type': 'application/json',
    ...(plan.bearer === undefined ? {} : { authorization: `Bearer ${plan.bearer}` }),
  }
}
