import { networkOf } from '@tidings/accounts/limits/network'
import { describe, expect, it } from 'vitest'
import type { ApiContext } from '../http/context.ts'
import { createClientAddress } from './client-address.ts'

function requestFrom(remoteAddress: string, forwardedFor?: string): ApiContext {
  const incoming = {
    socket: { remoteAddress },
    headers: forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor },
  }
  return { env: { incoming } } as unknown as ApiContext
}

describe('the client address', () => {
  it.each([
    [0, '10.0.0.1', '1.1.1.1', '10.0.0.1'],
    [1, '10.0.0.1', '1.1.1.1', '1.1.1.1'],
    [1, '10.0.0.1', '6.6.6.6, 1.1.1.1', '1.1.1.1'],
    [2, '10.0.0.1', '6.6.6.6, 1.1.1.1, 10.0.0.2', '1.1.1.1'],
    [2, '10.0.0.1', '1.1.1.1', '10.0.0.1'],
    [1, '10.0.0.1', 'not an address', '10.0.0.1'],
    [1, '10.0.0.1', '', '10.0.0.1'],
    [0, '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    [0, 'fe80::1%eth0', undefined, 'fe80::1'],
    [1, '10.0.0.1', '198.51.100.7:51234', '198.51.100.7'],
    [1, '10.0.0.1', '6.6.6.6:1, 198.51.100.7:51234', '198.51.100.7'],
    [1, '10.0.0.1', '[2001:DB8::7]:51234', '2001:db8::7'],
    [1, '10.0.0.1', '[2001:db8::7]', '2001:db8::7'],
    [1, '10.0.0.1', '2001:db8:0:0::0007', '2001:db8::7'],
    [1, '10.0.0.1', '[fe80::1%eth0]:80', 'fe80::1'],
    [1, '10.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
    [1, '10.0.0.1', '::FFFF:c633:6407', '198.51.100.7'],
    [1, '10.0.0.1', '0:0:0:0:0:ffff:198.51.100.7', '198.51.100.7'],
    [1, '10.0.0.1', '[::ffff:c633:6407]:51234', '198.51.100.7'],
    [1, '10.0.0.1', '198.51.100.7:', '10.0.0.1'],
    [1, '10.0.0.1', '198.51.100:80', '10.0.0.1'],
    [1, '10.0.0.1', '[198.51.100.7', '10.0.0.1'],
    [1, '10.0.0.1', 'unknown', '10.0.0.1'],
  ])('with %i trusted hops, from %s with %j, is %s', (hops, peer, forwardedFor, expected) => {
    expect(createClientAddress(hops)(requestFrom(peer, forwardedFor))).toBe(expected)
  })
})

describe('the network of a limit', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1:0::/56'],
    ['2001:db8:1:abcd::9', '2001:db8:1:abcd::/64', '2001:db8:1:ab00::/56'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64', '2001:db8:1:0::/56'],
    ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8:0:0::/56'],
    ['::1', '0:0:0:0::/64', '0:0:0:0::/56'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64', '64:ff9b:0:0::/56'],
  ])('of %s is %s or %s', (address, narrow, wide) => {
    expect(networkOf(address, 64)).toBe(narrow)
    expect(networkOf(address, 56)).toBe(wide)
  })
})
