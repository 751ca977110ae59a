import { isIP, isIPv6 } from 'node:net'
import type { ApiContext } from '../http/context.ts'

/** Reads the address a request came from, as text without a zone. */
export type ClientAddress = (c: ApiContext) => string

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/**
 * Makes a reader of client addresses. Each trusted proxy appends the address it saw to X-Forwarded-For, so the
 * client's address is the entry of the outermost one. Entries before it come from the caller and are ignored.
 *
 * @param trustedHops proxies in front of the API; with 0 the header is ignored.
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

/**
 * Returns the network that limits count an address by: an IPv4 address itself, or the network of an IPv6 address with
 * this many bits. A provider gives each customer a /64 or a /56.
 */
export function networkOf(address: string, bits: 56 | 64): string {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':')
    while (groups.length + rest.length < 8) groups.push('0')
    groups.push(...rest)
  }
  const [first, second, third, fourth] = groups.map((group) => Number.parseInt(group, 16))
  const last = bits === 64 ? fourth : (fourth ?? 0) & 0xff00
  return `${[first, second, third, last].map((group) => (group ?? 0).toString(16)).join(':')}::/${bits}`
}
