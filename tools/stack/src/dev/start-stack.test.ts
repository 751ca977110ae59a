import { expect, test } from 'vitest'
import { reachableHost } from './start-stack.ts'

test.for([
  ['127.0.0.1', '127.0.0.1'],
  ['0.0.0.0', '127.0.0.1'],
  ['::', '127.0.0.1'],
  ['localhost', 'localhost'],
  ['192.0.2.2', '192.0.2.2'],
  ['::1', '[::1]'],
] as const)('a server that listens on %s is reached at %s', ([host, reachedAt]) => {
  expect(reachableHost(host, '127.0.0.1')).toBe(reachedAt)
})
