import { isIPv4, isIPv6 } from 'node:net'
import type { ApiContext } from '../http/context.ts'

/** Reads the address a request came from, as text without a zone. */
export type ClientAddress = (c: ApiContext) => string

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
    return readForwarded(chain.at(-trustedHops)?.trim() ?? '') ?? peer
  }
}

/** What proxies write: an address, in brackets or with a port or both. */
const IN_BRACKETS = /^\[([^\]]*)\](?::\d+)?$/
const IPV4_WITH_PORT = /^([\d.]+):\d+$/

function readForwarded(entry: string): string | undefined {
  const bare = IN_BRACKETS.exec(entry)?.[1] ?? IPV4_WITH_PORT.exec(entry)?.[1] ?? entry
  return normalizeAddress(bare)
}

const MAPPED_IPV4 = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/

/** One spelling for each address: without a zone, IPv6 as in RFC 5952, an IPv4-mapped one as IPv4. */
function normalizeAddress(text: string): string | undefined {
  const [address = ''] = text.split('%', 1)
  if (!isIPv6(address)) return isIPv4(address) ? address : undefined
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [, high, low] = MAPPED_IPV4.exec(shortest) ?? []
  return high === undefined || low === undefined ? shortest : `${toBytes(high)}.${toBytes(low)}`
}

/** Such as 192.0 for c000. */
function toBytes(group: string): string {
  const number = Number.parseInt(group, 16)
  return `${number >> 8}.${number & 0xff}`
}
