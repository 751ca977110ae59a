import { pbkdf2Sync } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

/** One derivation for a hash worker to make. */
export interface HashTask {
  password: string
  salt: string
  iterations: number
  bytes: number
  /** Done besides, for nothing but the time it takes. */
  extraIterations?: number
}

/** Below the event loop: a request that only reads must not wait for a login. Logins still get their share. */
const NICENESS = 5

/** On Linux a thread has a priority of its own, by its id; elsewhere it keeps the process's. */
function yieldToOthers() {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(threadId, NICENESS)
  } catch {
    // Not Linux, or not allowed.
  }
}

if (parentPort !== null) {
  const port = parentPort
  yieldToOthers()
  port.on('message', ({ password, salt, iterations, bytes, extraIterations = 0 }: HashTask) => {
    const digest = pbkdf2Sync(password, salt, iterations, bytes, 'sha256')
    if (extraIterations > 0) pbkdf2Sync(password, salt, extraIterations, bytes, 'sha256')
    port.postMessage(digest)
  })
}
