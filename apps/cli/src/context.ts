import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import type { PrefixedRedis } from '@tidings/accounts/cache/changes'
import type { Database } from '@tidings/db/database'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { StoreUnreachableError } from '@tidings/queue/store-unreachable'
import { type CliEnv, isReadOnly, type KeyEnv, readCallersFolder, readCliEnv, readKeyEnv } from './env.ts'
import { CliError, EXIT } from './exit-codes.ts'
import type { Interruptions } from './interruptions.ts'
import type { OutputFormat } from './terminal/output.ts'
import type { Terminal } from './terminal/terminal.ts'

export interface GlobalOptions {
  output: OutputFormat | undefined
  readOnly: boolean
  showSensitive: boolean
}

/** Given to every command. Stores open on first use. `release` closes them. */
export interface CliContext {
  terminal: Terminal
  globals: GlobalOptions
  env(): CliEnv
  /** The variables that say where the signing keys are. */
  keyEnv(): KeyEnv
  /** The absolute path of a file named on the command line. */
  resolvePath(path: string): string
  database(): Promise<Database>
  /**
   * The dead letters. While a master of a Redis Cluster is away it says which are left out, once, and the command ends
   * with `partial`.
   */
  deadLetters(): Promise<DeadLetterStore>
  /** The dead letters, for a command that must not miss one. @throws while a master of a Redis Cluster is away. */
  allDeadLetters(): Promise<DeadLetterStore>
  /** Whether dead letters were left out. */
  readonly isIncomplete: boolean
  /** Where the APIs share values and counters. Undefined when the queue is on PostgreSQL: then they share none. */
  redis(): Promise<PrefixedRedis | undefined>
  /** The operator's name for the audit table. */
  actor(): string
  /** Call it before the first question and the first change. @throws CliError when changes are forbidden. */
  assertWritable(): void
  /**
   * Aborts at Ctrl-C, and when nobody reads stdout any more. Every call returns the same signal. A command that calls
   * this finishes its batch and ends by itself. Otherwise, and at a later Ctrl-C, the process ends at once.
   */
  interruption(): AbortSignal
  release(): Promise<void>
}

export function createContext(
  terminal: Terminal,
  source: NodeJS.ProcessEnv,
  interruptions: Interruptions,
): CliContext {
  const globals: GlobalOptions = { output: undefined, readOnly: false, showSensitive: false }
  const releases: (() => Promise<void>)[] = []
  let env: CliEnv | undefined
  let database: Promise<Database> | undefined
  let deadLetters: Promise<DeadLetterStore> | undefined
  let isIncomplete = false
  let redis: Promise<PrefixedRedis | undefined> | undefined
  let interruption: AbortController | undefined
  const readEnv = () => {
    env ??= readCliEnv(source)
    return env
  }

  // These import on first use: loading the query builder or BullMQ takes longer than most commands.
  async function open(): Promise<Database> {
    const { DATABASE_URL, DATABASE_DIRECT_URL } = readEnv()
    const { openDatabase } = await import('@tidings/db/database')
    const opened = openDatabase({
      // The statements of an operator may take long: past a pooler, which may end them.
      url: DATABASE_DIRECT_URL ?? DATABASE_URL,
      applicationName: 'tidings-cli',
      maxConnections: 4,
      onError: () => undefined,
    })
    releases.push(opened.close)
    return opened
  }

  async function openStore(): Promise<DeadLetterStore> {
    const { queueBackendOf } = await import('@tidings/queue/backend')
    const { openDeadLetters } = await import('@tidings/queue/dead-letters/open')
    const store = await openDeadLetters({
      backend: queueBackendOf(readEnv()),
      shards: readEnv().QUEUE_SHARDS,
      // A command that needs the broken connection reports it.
      onError: () => undefined,
      skipAway: true,
    })
    releases.push(() => store.close())
    return store
  }

  async function connect(): Promise<PrefixedRedis | undefined> {
    const { queueBackendOf } = await import('@tidings/queue/backend')
    const backend = queueBackendOf(readEnv())
    if (backend.kind === 'postgres') return undefined
    const { openRedis } = await import('@tidings/queue/open-redis')
    const { waitUntilReady } = await import('@tidings/queue/wait-until-ready')
    const connection = openRedis(backend, 'operator', () => undefined)
    releases.push(async () => connection.disconnect())
    await waitUntilReady(connection)
    return { connection, prefix: backend.prefix }
  }

  return {
    terminal,
    globals,
    env: readEnv,
    keyEnv: () => readKeyEnv(source),
    resolvePath: (path) => resolve(readCallersFolder(source), path),
    database() {
      database ??= open()
      return database
    },
    async deadLetters() {
      deadLetters ??= openStore()
      const store = await deadLetters
      if (store.away.length > 0 && !isIncomplete) {
        isIncomplete = true
        terminal.say(`tidings: ${describeAway(store)}`)
      }
      return store
    },
    async allDeadLetters() {
      deadLetters ??= openStore()
      const store = await deadLetters
      if (store.away.length > 0) throw new StoreUnreachableError(describeAway(store))
      return store
    },
    get isIncomplete() {
      return isIncomplete
    },
    redis() {
      redis ??= connect()
      return redis
    },
    actor: () => readEnv().TIDINGS_OPERATOR ?? loginName(),
    assertWritable() {
      if (globals.readOnly || isReadOnly(source))
        throw new CliError(EXIT.declined, 'Nothing was changed: --read-only is set.')
    },
    interruption() {
      if (interruption === undefined) {
        const controller = new AbortController()
        interruptions.onInterrupt(() => controller.abort())
        interruption = controller
      }
      return interruption.signal
    },
    async release() {
      await Promise.allSettled(releases.splice(0).map((release) => release()))
    },
  }
}

const describeAway = ({ away, parts }: DeadLetterStore): string =>
  `A master of the Redis Cluster does not answer. Left out are the dead letters of ${away.length} of ${parts.length} ` +
  `shards: ${away.join(', ')}.`

/** The login name, or the user id where a container runs as a user without a name. */
function loginName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.()}`
  }
}
