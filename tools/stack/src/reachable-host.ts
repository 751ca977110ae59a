import { isIPv6 } from 'node:net'

/** What listens there is reached at any address of this machine. */
const EVERY_ADDRESS = ['0.0.0.0', '::']

/** For a URL: where this machine reaches what listens on `host`; `loopback` where that will do. */
export function reachableHost(host: string, loopback: '127.0.0.1' | 'localhost'): string {
  if (host === '127.0.0.1' || EVERY_ADDRESS.includes(host)) return loopback
  return isIPv6(host) ? `[${host}]` : host
}
