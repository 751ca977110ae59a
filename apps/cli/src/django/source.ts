import type { DjangoRecord } from './records.ts'

/** A Django user service. Reading it twice gives the same rows. It is never written. */
export interface DjangoSource {
  /** The name for the audit table, without a password. */
  name: string
  /** Reads users and preferences, in any order. */
  readAccounts(onProgress: OnProgress): AsyncIterable<DjangoRecord>
  readLogs(onProgress: OnProgress): AsyncIterable<DjangoRecord>
  /** The units of progress of each walk: rows of a database, bytes of a file. */
  accountsTotal: number
  logsTotal: number
  close(): Promise<void>
}

/** The progress of a walk, in the source's units. */
export type OnProgress = (done: number) => void
