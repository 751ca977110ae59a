import type { Database } from '@tidings/db/database'
import { findHook, touchHooks } from '@tidings/db/operators/hooks'
import { type HookCredentials, PROVIDERS } from '@tidings/providers/provider'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { AppError } from '@tidings/shared/errors'
import { hookCredentialSchema, isHookId, openCredentials } from '@tidings/shared/hook'
import { SealError } from '@tidings/shared/seal'
import { z } from 'zod'
import { LastUse } from '../auth/last-use.ts'
import { LastingCache } from '../cache/lasting-cache.ts'
import type { SharedCache } from '../cache/redis-cache.ts'
import { notFound } from '../http/read-query.ts'

/** A live hook as the shared cache keeps it, under its id. Its secrets stay encrypted. */
export const sharedHookSchema = z.object({
  id: z.string(),
  provider: z.enum(PROVIDERS),
  name: z.string(),
  credentials: z.array(hookCredentialSchema),
})
export type SharedHook = z.infer<typeof sharedHookSchema>

export interface LiveHook extends Omit<SharedHook, 'credentials'> {
  credentials: HookCredentials
}

/** Its credentials are undefined when HOOK_SECRETS_KEY does not open them. */
type OpenedHook = Omit<LiveHook, 'credentials'> & { credentials: HookCredentials | undefined }

/** Providers wait for 5 s or more, and Mailgun sends some events once only. In milliseconds. */
const FIRST_LOOK_UP_WITHIN_MS = 3_000

interface HookFinderOptions {
  db: Database
  log: Logger
  /** HOOK_SECRETS_KEY. */
  secretsKey: string | undefined
  /** Used while PostgreSQL does not answer. Undefined without Redis. */
  shared?: SharedCache<SharedHook> | undefined
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/** Finds hooks in memory; see LastingCache. */
export class HookFinder {
  readonly #hooks: LastingCache<SharedHook, OpenedHook>
  readonly #lastUse: LastUse
  readonly #warn: (error: unknown) => void

  constructor({ db, log, secretsKey, shared, now }: HookFinderOptions) {
    this.#hooks = new LastingCache({
      load: async (id) => {
        const row = await findHook(db, id)
        return row && sharedHookSchema.parse(row)
      },
      open: (hook) => openHook(hook, secretsKey),
      shared,
      firstLookUpWithinMs: FIRST_LOOK_UP_WITHIN_MS,
      now,
    })
    this.#lastUse = new LastUse((ids) => touchHooks(db, ids), log)
    this.#warn = throttledWarning(log, 'reading the secrets of a hook')
  }

  /**
   * @throws AppError `not_found` when the provider has no such live hook, `unavailable` when it cannot be looked up or
   *   its secrets cannot be read: the provider should send the request again.
   */
  async find(provider: string, id: string): Promise<LiveHook> {
    const hook = isHookId(id) ? await this.#lookUp(id) : undefined
    if (hook === undefined || hook.provider !== provider) throw notFound()
    const { credentials } = hook
    if (credentials === undefined) {
      this.#warn(
        `HOOK_SECRETS_KEY is not set, or is another key than the one that hook ${hook.name} was made with`,
      )
      throw unavailable('The secrets of the hook cannot be read.')
    }
    return { ...hook, credentials }
  }

  /** Call it for a verified request. */
  noteUse({ id }: LiveHook): void {
    this.#lastUse.note(id)
  }

  /** Stores the remaining `last_used_at` times and stops. */
  close(): Promise<void> {
    return this.#lastUse.close()
  }

  async #lookUp(id: string): Promise<OpenedHook | undefined> {
    try {
      return await this.#hooks.get(id)
    } catch (cause) {
      throw unavailable('The hook cannot be looked up right now.', cause)
    }
  }
}

function openHook({ credentials, ...hook }: SharedHook, secretsKey: string | undefined): OpenedHook {
  try {
    return { ...hook, credentials: openCredentials(secretsKey, hook.id, credentials) }
  } catch (error) {
    if (error instanceof SealError) return { ...hook, credentials: undefined }
    throw error
  }
}

const unavailable = (message: string, cause?: unknown) =>
  new AppError('unavailable', `${message} Send the request again.`, { retryAfterSeconds: 5, cause })
