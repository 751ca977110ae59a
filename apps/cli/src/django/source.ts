import type { DjangoRecord } from './records.ts'

/** Where the users come from. Reading it twice gives the same; it is never written. */
export interface DjangoSource {
  /** For the audit table: no password, no content. */
  name: string
  /** Users and preferences first or anywhere: they are read in a round of their own. */
  readAccounts(onProgress: OnProgress): AsyncIterable<DjangoRecord>
  readLogs(onProgress: OnProgress): AsyncIterable<DjangoRecord>
  /** Units of progress in one round: rows of a database, bytes of a file. */
  accountsTotal: number
  logsTotal: number
  close(): Promise<void>
}

/** How far a round is, in the source's units. */
export type OnProgress = (done: number) => void
