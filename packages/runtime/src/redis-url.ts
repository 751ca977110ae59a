import { z } from 'zod'

/** What is wrong with a URL of Redis. The message never quotes the URL, which may hold a password. */
export class RedisUrlError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'RedisUrlError'
  }
}

export interface RedisNode {
  host: string
  port: number
}

interface RedisLogin {
  username?: string
  password?: string
}

/** A URL of Redis, taken apart. */
export interface RedisAddress extends RedisLogin {
  topology: 'single' | 'sentinel' | 'cluster'
  tls: boolean
  /** The servers that the URL names: Redis, the Sentinels, or some nodes of the cluster. */
  nodes: RedisNode[]
  db: number
  /** The name under which the Sentinels know the master. */
  masterName?: string
  /** Where the Sentinels ask for another user and password. */
  sentinelLogin?: RedisLogin
}

const DEFAULT_PORTS = { single: 6379, sentinel: 26_379, cluster: 6379 } as const

// protocol :// user and password @ hosts / path ? query
const REDIS_URL =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/

export const REDIS_URL_FORMS =
  'needs a URL like redis://localhost:6379, redis+sentinel://host,host/name or redis+cluster://host,host'

/**
 * Takes a URL of Redis apart: `redis://`, `redis+sentinel://host,host/name/db`, `redis+cluster://host,host`, and each
 * with `rediss` for TLS. The user and the password may be encoded with %.
 *
 * @throws RedisUrlError
 */
export function parseRedisUrl(url: string): RedisAddress {
  const parts = REDIS_URL.exec(url)
  if (parts === null) throw new RedisUrlError(REDIS_URL_FORMS)
  const [, protocol, kind, login = '', hosts = '', path = '', query = ''] = parts
  const topology = topologySchema.parse(kind)
  const address = {
    topology,
    tls: protocol === 'rediss',
    nodes: parseNodes(hosts, topology),
    ...parseLogin(login),
  }
  if (topology === 'single') return { ...address, db: parseDatabase(path) }
  if (topology === 'sentinel') return { ...address, ...parseMaster(path), ...parseSentinelLogin(query) }
  if (query !== '') throw new RedisUrlError('may have nothing after a ?: a cluster has no parameters')
  if (path !== '') throw new RedisUrlError('may have no path: a cluster has only the database 0')
  return { ...address, db: 0 }
}

const topologySchema = z.enum(['single', 'sentinel', 'cluster']).default('single')

/** Whether the URL is one of a Redis Cluster. */
export const isClusterUrl = (url: string): boolean => /^rediss?\+cluster:/.test(url)

function parseNodes(hosts: string, topology: RedisAddress['topology']): RedisNode[] {
  // redis:// alone stands for this machine.
  const names = hosts === '' && topology === 'single' ? ['localhost'] : hosts.split(',')
  if (topology === 'single' && names.length > 1)
    throw new RedisUrlError('names several servers: that needs redis+sentinel:// or redis+cluster://')
  return names.map((name) => {
    const [, ipv6, host = ipv6, port] =
      /^(?:\[([\da-f:.]+)\]|([\p{L}\p{N}._-]+))(?::(\d{1,5}))?$/iu.exec(name) ?? []
    if (host === undefined || Number(port ?? 0) > 65_535)
      throw new RedisUrlError('needs hosts like redis-1 or redis-1:6379, separated by commas')
    return { host, port: port === undefined ? DEFAULT_PORTS[topology] : Number(port) }
  })
}

function parseLogin(login: string): RedisLogin {
  const colon = login.indexOf(':')
  const username = decode(colon === -1 ? login : login.slice(0, colon))
  const password = colon === -1 ? '' : decode(login.slice(colon + 1))
  return { ...(username !== '' && { username }), ...(password !== '' && { password }) }
}

function parseDatabase(path: string): number {
  decode(path)
  if (!/^\d*$/.test(path)) throw new RedisUrlError('may have only the number of a database as its path')
  return Number(path)
}

function parseMaster(path: string): { masterName: string; db: number } {
  const [name = '', db = '', ...more] = path.split('/')
  if (name === '' || more.length > 0 || !/^\d*$/.test(db))
    throw new RedisUrlError(
      'needs the name of the master as its path, such as redis+sentinel://host,host/mymaster',
    )
  return { masterName: decode(name), db: Number(db) }
}

function parseSentinelLogin(query: string): { sentinelLogin?: RedisLogin } {
  if (query === '') return {}
  const sentinelLogin: RedisLogin = {}
  for (const field of query.split('&')) {
    const [, name, value = ''] = /^sentinel_(username|password)=(.*)$/s.exec(field) ?? []
    if (name !== 'username' && name !== 'password')
      throw new RedisUrlError('may have only sentinel_username and sentinel_password after the ?')
    // Not URLSearchParams: it reads + as a space.
    sentinelLogin[name] = decode(value)
  }
  return { sentinelLogin }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new RedisUrlError('holds a % that begins no code: write % as %25')
  }
}
