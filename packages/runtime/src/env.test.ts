import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ConfigError, envFields, parseEnv, wholeNumber } from './env.ts'

const schema = z.object({
  PORT: wholeNumber(0, 65_535).default(8001),
  LIMIT: wholeNumber(1).optional(),
  SHARE: envFields.OTEL_TRACES_SAMPLER_ARG,
})

function listProblems(source: NodeJS.ProcessEnv): readonly string[] {
  try {
    parseEnv(schema, source)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('a numeric variable', () => {
  test('is parsed, and has its default when it is empty', () => {
    expect(parseEnv(schema, { PORT: '0', LIMIT: '50000', SHARE: '0.25' })).toEqual({
      PORT: 0,
      LIMIT: 50_000,
      SHARE: 0.25,
    })
    expect(parseEnv(schema, { PORT: '' })).toEqual({ PORT: 8001, SHARE: 1 })
  })

  test.for(['canary', '1.5', '-1', '65536', '1e99', 'Infinity'])(
    'reports the allowed range once for %s',
    (PORT) => {
      expect(listProblems({ PORT })).toEqual(['PORT: must be a whole number from 0 to 65535'])
    },
  )

  test('is reported together with all other problems', () => {
    expect(listProblems({ PORT: 'canary', LIMIT: '0', SHARE: '2' })).toEqual([
      'PORT: must be a whole number from 0 to 65535',
      'LIMIT: must be a whole number of 1 or more',
      'SHARE: must be a number from 0 to 1',
    ])
  })
})
