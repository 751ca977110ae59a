import { expect, test } from 'vitest'
import { reachableHost } from './reachable-host.ts'

test('what listens on one address only is looked for there', () => {
  const hosts = ['127.0.0.1', '0.0.0.0', '::', 'localhost', '192.0.2.2', '::1']
  expect(hosts.map((host) => reachableHost(host, '127.0.0.1'))).toEqual([
    '127.0.0.1',
    '127.0.0.1',
    '127.0.0.1',
    'localhost',
    '192.0.2.2',
    '[::1]',
  ])
})
