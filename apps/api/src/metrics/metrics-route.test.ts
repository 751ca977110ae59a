import { describe, expect, it } from 'vitest'
import { isInternalAddress } from './metrics-route.ts'

describe('networks that may read metrics', () => {
  it.each([
    '127.0.0.1',
    '::1',
    '10.244.1.7',
    '172.31.255.1',
    '192.168.1.1',
    '100.64.0.9',
    '100.127.255.254',
    '::ffff:10.0.0.1',
    'fd00::7',
    'fe80::1',
  ])('%s is internal', (address) => {
    expect(isInternalAddress(address)).toBe(true)
  })

  it.each([
    '203.0.113.9',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '::ffff:203.0.113.9',
    '2001:db8::1',
  ])('%s is not', (address) => {
    expect(isInternalAddress(address)).toBe(false)
  })
})
