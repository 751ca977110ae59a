import { ConfigError } from '@tidings/runtime/env'
import { expect, test } from 'vitest'
import { readEnv } from './env.ts'

const DATABASE_URL = 'postgres://a:b@localhost/c'

function listProblems(variables: NodeJS.ProcessEnv): readonly string[] {
  try {
    readEnv({ DATABASE_URL, ...variables })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('a blank variable means the default, whatever its kind', () => {
  const names = Object.keys(readEnv({ DATABASE_URL })).filter((name) => name !== 'DATABASE_URL')
  expect(names).toContain('TRUSTED_PROXY_HOPS')
  const blank = Object.fromEntries(names.map((name) => [name, ' ']))
  expect(readEnv({ DATABASE_URL, ...blank })).toEqual(readEnv({ DATABASE_URL }))
})

test('fewer iterations than the minimum are refused', () => {
  expect(listProblems({ PASSWORD_ITERATIONS: '1' })).toEqual([
    'PASSWORD_ITERATIONS: must be a whole number from 1000 to 10000000',
  ])
})

test.for([
  '*',
  'https://*.example.com',
  'https://*',
  'app.example.com',
  'https://app.example.com/',
  'ftp://app.example.com',
  'https://App.example.com',
  'https://app.example.com,',
])('CORS_ORIGINS=%s can match no browser, and is refused', (CORS_ORIGINS) => {
  expect(listProblems({ CORS_ORIGINS })).toEqual([
    'CORS_ORIGINS: needs exact origins like https://app.example.com, separated by commas; no wildcard',
  ])
})

test('CORS_ORIGINS takes exact origins', () => {
  const { CORS_ORIGINS } = readEnv({
    DATABASE_URL,
    CORS_ORIGINS: 'https://app.example.com, http://localhost:3000',
  })
  expect(CORS_ORIGINS).toEqual(['https://app.example.com', 'http://localhost:3000'])
})
