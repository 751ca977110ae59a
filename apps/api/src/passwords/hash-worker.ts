import { pbkdf2Sync } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

/** One derivation for a hash worker. */
export interface HashTask {
  password: string
  salt: string
  iterations: number
  /** Length of the derived key, in bytes. */
  bytes: number
  /** More iterations, for their running time only: the result does not depend on them. */
  extraIterations?: number
}

/** Lower priority than the event loop: a plain read must not wait for a login. */
const NICENESS = 5

/** Linux gives each thread its own priority, by thread id. Other systems keep the process's priority. */
function lowerPriority() {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(threadId, NICENESS)
  } catch {
    // Not Linux, or not permitted.
  }
}

if (parentPort !== null) {
  const port = parentPort
  lowerPriority()
  port.on('message', ({ password, salt, iterations, bytes, extraIterations = 0 }: HashTask) => {
    const digest = pbkdf2Sync(password, salt, iterations, bytes, 'sha256')
    if (extraIterations > 0) pbkdf2Sync(password, salt, extraIterations, bytes, 'sha256')
    port.postMessage(digest)
  })
}
