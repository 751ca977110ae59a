import { describe, expect, test } from 'vitest'
import { parseRedisUrl, REDIS_URL_FORMS } from './redis-url.ts'

describe('a URL of Redis', () => {
  test('names one server', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({
      topology: 'single',
      tls: false,
      nodes: [{ host: 'localhost', port: 6379 }],
      db: 0,
    })
    expect(parseRedisUrl('rediss://us%40er:p%2Fs:s@[::1]:7000/2')).toEqual({
      topology: 'single',
      tls: true,
      nodes: [{ host: '::1', port: 7000 }],
      username: 'us@er',
      password: 'p/s:s',
      db: 2,
    })
  })

  test('names Sentinels and the master that they watch', () => {
    expect(
      parseRedisUrl(
        'redis+sentinel://:secret@one,two:26380/my%20master/3?sentinel_username=o&sentinel_password=a+b%26',
      ),
    ).toEqual({
      topology: 'sentinel',
      tls: false,
      nodes: [
        { host: 'one', port: 26_379 },
        { host: 'two', port: 26_380 },
      ],
      password: 'secret',
      masterName: 'my master',
      db: 3,
      sentinelLogin: { username: 'o', password: 'a+b&' },
    })
  })

  test('names nodes of a cluster', () => {
    expect(parseRedisUrl('rediss+cluster://one,two:7000')).toMatchObject({
      topology: 'cluster',
      tls: true,
      nodes: [
        { host: 'one', port: 6379 },
        { host: 'two', port: 7000 },
      ],
    })
  })

  const HOSTS = 'needs hosts like redis-1 or redis-1:6379, separated by commas'
  const MASTER = 'needs the name of the master as its path, such as redis+sentinel://host,host/mymaster'
  const PARAMETERS = 'may have only sentinel_username and sentinel_password after the ?'
  test.for([
    ['localhost:6379', REDIS_URL_FORMS],
    ['http://localhost', REDIS_URL_FORMS],
    ['redis+other://localhost', REDIS_URL_FORMS],
    ['redis://one,two', 'names several servers: that needs redis+sentinel:// or redis+cluster://'],
    ['redis://localhost/cache', 'may have only the number of a database as its path'],
    ['redis://:secret%zz@localhost', 'holds a % that begins no code: write % as %25'],
    ['redis+sentinel://one,two', MASTER],
    ['redis+sentinel://one/name/secret', MASTER],
    ['redis+cluster://one/1', 'may have no path: a cluster has only the database 0'],
    ['redis+cluster://one,,two', HOSTS],
    ['redis+cluster://:secret@one:99999', HOSTS],
    ['redis+cluster://', HOSTS],
    ['redis://:secret@ho<st', HOSTS],
    ['redis+sentinel://one/name?sentinel_pass=secret', PARAMETERS],
    [
      'redis+sentinel://one/name?sentinel_password=secret%zz',
      'holds a % that begins no code: write % as %25',
    ],
    ['redis+cluster://one?password=secret', 'may have nothing after a ?: a cluster has no parameters'],
  ] as const)('%s is refused with its reason, which quotes nothing of it', ([url, reason]) => {
    expect(() => parseRedisUrl(url)).toThrow(reason)
    expect(reason).not.toContain('secret')
  })
})
