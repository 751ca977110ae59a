import { classifyFailure, sqlState, unwrapQueryError } from '@tidings/db/failure'
import { BadCursorError } from '@tidings/queue/dead-letters/list'
import { StoreUnreachableError } from '@tidings/queue/store-unreachable'
import { ConfigError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'
import { CommanderError } from 'commander'

/** Exit codes, which scripts rely on. docs/dead-letters.md documents them. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** The operator answered no, there is no terminal to ask on and no --yes, or --read-only is set. */
  declined: 2,
  notFound: 3,
  /** A part of the change was made. */
  partial: 5,
  unreachable: 6,
  /** A --fail-if-… limit is exceeded. */
  threshold: 7,
  usage: 64,
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command with a message on stderr and an exit code. */
export class CliError extends Error {
  readonly exitCode: ExitCode
  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}

export const usageError = (message: string) => new CliError(EXIT.usage, message)

/** The exit code and the message of a failure. Without a message, commander has printed its own. */
export function describeFailure(thrown: unknown): { exitCode: ExitCode; message: string | undefined } {
  const error = unwrapQueryError(thrown)
  if (error instanceof CliError) return { exitCode: error.exitCode, message: error.message }
  if (error instanceof CommanderError)
    return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.usage, message: undefined }
  if (error instanceof BadCursorError) return { exitCode: EXIT.usage, message: error.message }
  if (error instanceof ConfigError) return { exitCode: EXIT.failure, message: error.message }
  if (isUnreachable(error)) {
    return {
      exitCode: EXIT.unreachable,
      message: `A store ${isRefusal(error) ? 'refuses the connection' : 'does not answer'} (${storeError(error)}). Is Tidings running? Check DATABASE_URL and REDIS_URL.`,
    }
  }
  return { exitCode: EXIT.failure, message: errorMessage(error) }
}

/** Whether a store answered and refused. Class 28: wrong user or password. Class 3D: no such database. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof StoreUnreachableError ? error.isRefusal : /^(28|3D)/.test(sqlState(error) ?? '')

/** Names of ioredis errors that have no code. */
const REDIS_CONNECTION_ERRORS = new Set(['MaxRetriesPerRequestError', 'AbortError', 'ClusterAllFailedError'])
/** The messages of those that have no name of their own either. */
const REDIS_CONNECTION_MESSAGES =
  /^(Connection is closed\.|Too many Cluster redirections|None of startup nodes|The Redis node that|CLUSTERDOWN )/

/** Whether a store did not answer. An error that a store answers with is not one. */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof StoreUnreachableError || classifyFailure(error) === 'outage') return true
  return (
    error instanceof Error &&
    (REDIS_CONNECTION_ERRORS.has(error.name) || REDIS_CONNECTION_MESSAGES.test(error.message))
  )
}

/** The message of a store or its driver, without the query and its parameters. */
export const storeError = (thrown: unknown): string => errorMessage(unwrapQueryError(thrown))
