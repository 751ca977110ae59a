import type { QueueBackend } from '@tidings/queue/backend'

/** What the thread of the board is started with. */
export interface BoardThreadData {
  backend: QueueBackend
  shards: number
  /** Path below which the board is served. */
  basePath: string
}

/** A request for the board. None of its changes has a body. */
export interface BoardRequest {
  id: number
  method: string
  url: string
  headers: [name: string, value: string][]
  readOnly: boolean
}

export type BoardReply =
  | { id: number; status: number; headers: [name: string, value: string][]; body: ArrayBuffer }
  /** The request failed. The text is for the log. */
  | { id: number; failure: string }
  /** The connection to the queue's store failed. */
  | { warning: string }
