import { availableParallelism } from 'node:os'
import type { EraseElsewhere } from '@tidings/accounts/erase-user'
import type { Database } from '@tidings/db/database'
import { queueBackendOf } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { openRedis } from '@tidings/queue/open-redis'
import { ConfigError, StartupError } from '@tidings/runtime/env'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import { Gauge, type Registry } from 'prom-client'
import type { AccountDeps } from '../accounts/account-deps.ts'
import { createDeadLetterEraser } from '../accounts/erase-dead-letters.ts'
import { createOutboundEraser } from '../accounts/erase-outbound.ts'
import { createAccessTokens } from '../auth/access-tokens.ts'
import { createUserAuthenticator } from '../auth/authenticate-user.ts'
import { createClientAddress } from '../auth/client-address.ts'
import { createRateLimits } from '../auth/rate-limits.ts'
import { importSigningKeys, type SigningKeys } from '../auth/signing-keys.ts'
import { SigningKeysFile } from '../auth/signing-keys-file.ts'
import { PostgresBus } from '../cache/postgres-bus.ts'
import { createRedisBus } from '../cache/redis-bus.ts'
import type { Env } from '../env.ts'
import type { Authenticate, UserPrincipal } from '../http/principal.ts'
import { HashPool } from '../passwords/hash-pool.ts'
import { createPasswords } from '../passwords/passwords.ts'
import { deleteExpiredSessionsRegularly } from '../sessions/delete-expired-sessions.ts'
import { createCaches } from './create-caches.ts'

interface OpenAccountsOptions {
  env: Env
  db: Database
  registry: Registry
  lifecycle: Lifecycle
  log: Logger
}

/** Dependencies of the account and session routes, and the authentication of users. */
interface Accounts extends AccountDeps {
  authenticateUser: Authenticate<UserPrincipal>
  signingKeys: SigningKeys
  eraseElsewhere: EraseElsewhere
  openDeadLetters(): Promise<DeadLetterStore>
}

/**
 * Opens the dependencies of accounts and sessions, and registers the release of each.
 *
 * @throws StartupError when the signing keys cannot be read.
 */
export async function openAccounts(options: OpenAccountsOptions): Promise<Accounts> {
  const { env, db, registry, lifecycle, log } = options
  const signingKeys = await openSigningKeys(env, lifecycle, log)
  const backend = queueBackendOf(env)
  const redis =
    backend.kind === 'redis'
      ? {
          connection: openRedis(backend, 'fail-fast', throttledWarning(log, 'cache connection')),
          prefix: backend.prefix,
        }
      : undefined
  if (redis) lifecycle.onRelease('cache', () => redis.connection.disconnect())

  const bus =
    backend.kind === 'redis' && redis
      ? createRedisBus(redis.connection, { ...backend, log })
      : new PostgresBus(db, { url: env.DATABASE_DIRECT_URL ?? env.DATABASE_URL, log })
  lifecycle.onRelease('cache changes', () => bus.close())
  const caches = createCaches({ db, bus, registry, redis })

  const pool = new HashPool({ threads: availableParallelism() })
  lifecycle.onRelease('hashing', () => pool.close())
  measureHashing(pool, registry)

  const deadLetters = createDeadLetterEraser({ backend, shards: env.QUEUE_SHARDS, log })
  lifecycle.onRelease('erasures', () => deadLetters.close())
  const outbound = createOutboundEraser({ db, backend, log })
  lifecycle.onRelease('erasures of messages', () => outbound.close())

  lifecycle.onRelease('expired sessions', deleteExpiredSessionsRegularly(db, log))

  const tokens = createAccessTokens({
    keys: signingKeys,
    issuer: env.JWT_ISSUER,
    audience: env.JWT_AUDIENCE,
    ttlSeconds: env.ACCESS_TOKEN_TTL,
    legacySecret: env.LEGACY_HS256_SECRET,
  })
  return {
    db,
    caches,
    tokens,
    signingKeys,
    passwords: createPasswords(pool, env.PASSWORD_ITERATIONS),
    rateLimits: createRateLimits({
      enabled: env.RATE_LIMIT_ENABLED,
      redis,
      bus,
      loginsPerMinutePerIp: env.RATE_LIMIT_LOGIN_PER_IP,
      loginsPerMinutePerAccountIp: env.RATE_LIMIT_LOGIN_PER_ACCOUNT_IP,
      wrongPasswordsPerHourPerAccount: env.RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT,
      registrationsPerHourPerIp: env.RATE_LIMIT_REGISTER_PER_IP,
      refreshesPerMinutePerIp: env.RATE_LIMIT_REFRESH_PER_IP,
      erasuresPerHourPerIp: env.RATE_LIMIT_ERASE_PER_IP,
      exportsPerHourPerUser: env.RATE_LIMIT_EXPORT_PER_USER,
      passwordResetsPerHourPerIp: env.RATE_LIMIT_PASSWORD_RESET_PER_IP,
      emailChangesPerHourPerUser: env.RATE_LIMIT_EMAIL_CHANGE_PER_USER,
    }),
    refreshTtlSeconds: env.REFRESH_TOKEN_TTL,
    requireVerifiedEmail: env.REQUIRE_VERIFIED_EMAIL,
    clientAddress: createClientAddress(env.TRUSTED_PROXY_HOPS),
    authenticateUser: createUserAuthenticator({ tokens, caches }),
    openDeadLetters: () =>
      openDeadLetters({
        backend,
        shards: env.QUEUE_SHARDS,
        onError: throttledWarning(log, 'dead letter connection'),
      }),
    async eraseElsewhere(user) {
      await Promise.all([deadLetters.erase(user), outbound.erase(user)])
    },
  }
}

async function openSigningKeys(env: Env, lifecycle: Lifecycle, log: Logger): Promise<SigningKeys> {
  if (env.JWT_KEYS !== undefined) {
    return importSigningKeys(env.JWT_KEYS).catch((error: unknown) => {
      throw new ConfigError([`JWT_KEYS: ${errorMessage(error)}`])
    })
  }
  const path = env.JWT_KEYS_FILE
  if (path === undefined) throw new ConfigError(['JWT_KEYS: is needed, or JWT_KEYS_FILE'])
  try {
    const keys = await SigningKeysFile.open(path, log)
    lifecycle.onRelease('signing keys', () => keys.close())
    return keys
  } catch (error) {
    throw new StartupError(`JWT_KEYS_FILE cannot be used: ${errorMessage(error)}`)
  }
}

function measureHashing(pool: HashPool, registry: Registry) {
  new Gauge({
    name: 'tidings_password_hashes_pending',
    help: 'Password hashes running and waiting for a thread.',
    registers: [registry],
    collect() {
      this.set(pool.pending)
    },
  })
}
