import { expect, test } from 'vitest'
import { readStartEnv } from './env.ts'
import { reachableHost, withoutPrivateStores } from './start-stack.ts'

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

test('a shell that has sourced dev.env starts the private stores again, and keeps those it was given', () => {
  const [DATABASE_URL, REDIS_URL] = ['postgres://127.0.0.1:5433/tidings', 'redis://127.0.0.1:6380']
  const previous = { DATABASE_URL, REDIS_URL, PRIVATE_STORES: 'DATABASE_URL,REDIS_URL' }
  const without = (env: Record<string, string>, before: Record<string, string>) => {
    const kept = withoutPrivateStores(readStartEnv(env), before)
    return { DATABASE_URL: kept.DATABASE_URL, REDIS_URL: kept.REDIS_URL }
  }
  expect(without({ DATABASE_URL, REDIS_URL }, previous)).toEqual({})
  const other = { DATABASE_URL: 'postgres://db/tidings', REDIS_URL: 'redis://redis' }
  expect(without(other, previous)).toEqual(other)
  // Both are the operator's: the previous start ran neither.
  expect(without(other, { ...other, PRIVATE_STORES: '' })).toEqual(other)
  expect(without({ DATABASE_URL }, {})).toEqual({ DATABASE_URL })
})
