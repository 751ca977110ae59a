import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ConfigError, days, duration, envFields, flag, parseEnv, wholeNumber } from './env.ts'

const schema = z.object({
  PORT: wholeNumber(0, 65_535).default(8001),
  LIMIT: wholeNumber(1).optional(),
  SHARE: envFields.OTEL_TRACES_SAMPLER_ARG,
})

function listProblems(source: NodeJS.ProcessEnv, of: z.ZodType = schema): readonly string[] {
  try {
    parseEnv(of, source)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

describe('a numeric variable', () => {
  test('is parsed, and has its default when it is blank', () => {
    expect(parseEnv(schema, { PORT: '0', LIMIT: '50000', SHARE: '0.25' })).toEqual({
      PORT: 0,
      LIMIT: 50_000,
      SHARE: 0.25,
    })
    for (const blank of ['', ' ', '\t\n'])
      expect(parseEnv(schema, { PORT: blank, LIMIT: blank, SHARE: blank })).toEqual({ PORT: 8001, SHARE: 1 })
  })

  test.for(['canary', '1.5', '-1', '65536', '1e3', '1e99', '0x1f', '8001 8002', 'Infinity'])(
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

describe('a variable with a number of days', () => {
  const windows = z.object({ WINDOW: days(35, 3650).default(35) })

  test.for([
    ['35', 35],
    ['90d', 90],
    [' 6w ', 42],
    ['', 35],
  ])('%j is %i days', ([WINDOW, expected]) => {
    expect(parseEnv(windows, { WINDOW: String(WINDOW) })).toEqual({ WINDOW: expected })
  })

  test.for(['34d', '4w', '3651', '35h', '-35', '1e9', '35.5d', 'd'])('%j is refused', (WINDOW) => {
    expect(listProblems({ WINDOW }, windows)).toEqual([
      'WINDOW: must be a number of days from 35 to 3650, such as 35d',
    ])
  })
})

describe('a variable with a duration', () => {
  const waits = z.object({ WAIT: duration('1s', '7d').default(3_600_000) })

  test.for([
    ['1h', 3_600_000],
    ['30m', 1_800_000],
    ['3600', 3_600_000],
    ['90s', 90_000],
    [' 7d ', 604_800_000],
    ['', 3_600_000],
  ])('%j is %i milliseconds', ([WAIT, expected]) => {
    expect(parseEnv(waits, { WAIT: String(WAIT) })).toEqual({ WAIT: expected })
  })

  test.for(['0', '8d', '1w', '1.5h', '-1', '1e3', 'h', '1 h'])('%j is refused', (WAIT) => {
    expect(listProblems({ WAIT }, waits)).toEqual(['WAIT: must be a duration from 1s to 7d, such as 1h'])
  })
})

describe('a variable with the URL of a store', () => {
  const stores = z.object({ DATABASE_URL: envFields.DATABASE_URL, REDIS_URL: envFields.REDIS_URL })
  const DATABASE_URL = 'postgres://user:p%40ss@localhost:5432/tidings'
  const REDIS_URL = 'rediss://user:p%2Fss@localhost:6379/1'

  test('is taken as it is', () => {
    expect(parseEnv(stores, { DATABASE_URL, REDIS_URL })).toEqual({ DATABASE_URL, REDIS_URL })
    expect(parseEnv(stores, { DATABASE_URL, REDIS_URL: ' ' })).toEqual({ DATABASE_URL })
  })

  test('a certificate comes from a file', () => {
    const tls = z.object({ REDIS_CA_FILE: envFields.REDIS_CA_FILE })
    const self = fileURLToPath(import.meta.url)
    expect(parseEnv(tls, { REDIS_CA_FILE: self }).REDIS_CA_FILE).toContain('a certificate comes from a file')
    expect(listProblems({ REDIS_CA_FILE: `${self}-missing` }, tls)).toEqual([
      'REDIS_CA_FILE: cannot read the file (ENOENT)',
    ])
  })

  test.for([
    ['DATABASE_URL', 'localhost:5432', 'needs a URL like postgres://user:password@localhost:5432/tidings'],
    ['DATABASE_URL', 'postgres://user:5%zz@localhost/db', 'holds a % that begins no code: write % as %25'],
    ['DATABASE_URL', 'postgres://user@localhost/100%', 'holds a % that begins no code: write % as %25'],
    ['REDIS_URL', 'redis://:5%zz@localhost', 'holds a % that begins no code: write % as %25'],
    ['REDIS_URL', 'redis://localhost/cache', 'may have only the number of a database as its path'],
  ] as const)('%s=%s is refused with its reason', ([name, value, reason]) => {
    expect(listProblems({ DATABASE_URL, [name]: value }, stores)).toEqual([`${name}: ${reason}`])
  })
})

test('a URL of PostgreSQL names files of TLS that can be read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-env-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, 'a certificate')
  const stores = z.object({ DATABASE_URL: envFields.DATABASE_URL })
  const url = 'postgres://user@localhost:5432/tidings?sslmode=verify-full'
  const DATABASE_URL = `${url}&sslrootcert=${ca}`
  expect(parseEnv(stores, { DATABASE_URL })).toEqual({ DATABASE_URL })
  expect(
    listProblems({ DATABASE_URL: `${url}&sslrootcert=${folder}/none&sslkey=${folder}` }, stores),
  ).toEqual([
    'DATABASE_URL: names a file as sslrootcert: cannot read the file (ENOENT)',
    'DATABASE_URL: names a file as sslkey: cannot read the file (EISDIR)',
  ])
})

test('a variable that turns something on or off says what it may hold', () => {
  const flags = z.object({ STRICT: flag(true) })
  expect(parseEnv(flags, { STRICT: ' ' })).toEqual({ STRICT: true })
  expect(parseEnv(flags, { STRICT: 'False' })).toEqual({ STRICT: false })
  expect(listProblems({ STRICT: 'maybe' }, flags)).toEqual(['STRICT: must be true or false'])
})

describe('a secret in a file', () => {
  const schema = z.object({ DATABASE_URL: envFields.DATABASE_URL, RECIPIENT_KEY: envFields.RECIPIENT_KEY })
  const DATABASE_URL = 'postgres://localhost/tidings'
  const KEY = 'a-key-of-16-characters'

  test('is read without the white space around it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-env-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'url'), `${DATABASE_URL}\n`)
    await writeFile(join(folder, 'key'), `${KEY}\n`)
    const files = { DATABASE_URL_FILE: join(folder, 'url'), RECIPIENT_KEY_FILE: join(folder, 'key') }
    expect(parseEnv(schema, files)).toEqual({ DATABASE_URL, RECIPIENT_KEY: KEY })
  })

  test('is refused when it is set in both ways, or when its file cannot be read', () => {
    expect(
      listProblems({ DATABASE_URL, DATABASE_URL_FILE: '/x', RECIPIENT_KEY_FILE: '/missing' }, schema),
    ).toEqual([
      'DATABASE_URL_FILE: is set beside DATABASE_URL: set one of them',
      'RECIPIENT_KEY_FILE: cannot read the file (ENOENT)',
    ])
  })
})
