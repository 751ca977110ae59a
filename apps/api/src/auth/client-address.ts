import { isIP, isIPv6 } from 'node:net'
import type { ApiContext } from '../http/context.ts'

/** The address a request came from, as text without a zone. */
export type ClientAddress = (c: ApiContext) => string

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/**
 * Reads the client's address. Behind `trustedHops` proxies, each of which appends what it saw to
 * X-Forwarded-For, it is the entry the outermost of them wrote; what stands before it is the caller's own
 * word. With no proxy the header is ignored.
 */
export function createClientAddress(trustedHops: number): ClientAddress {
  return (c) => {
    const { headers, socket } = c.env.incoming
    const peer = normalizeAddress(socket.remoteAddress ?? '') ?? '0.0.0.0'
    if (trustedHops === 0) return peer
    const header = headers['x-forwarded-for']
    const chain = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
    return normalizeAddress(chain.at(-trustedHops)?.trim() ?? '') ?? peer
  }
}

function normalizeAddress(text: string): string | undefined {
  const [address = ''] = text.split('%', 1)
  if (isIP(address) === 0) return undefined
  return MAPPED_IPV4.exec(address)?.[1] ?? address.toLowerCase()
}

/** What a limit counts by: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets. */
export function limitKeyOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':')
    while (groups.length + rest.length < 8) groups.push('0')
    groups.push(...rest)
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
