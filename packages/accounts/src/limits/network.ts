import { isIPv6 } from 'node:net'

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

/** The network around an address in which a home or an office gets its next one: a /24 of IPv4, a /56 of IPv6. */
export const neighbourhoodOf = (address: string): string =>
  isIPv6(address) ? networkOf(address, 56) : address.replace(/\d+$/, '0/24')
