import { pbkdf2Sync } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { KeyDerivation } from '@tidings/shared/password-hash'
import { deriveKey } from './derive-key.ts'

/** One derivation for a hash worker. */
export interface HashTask {
  password: string
  derivation: KeyDerivation
  /** Length of the derived key, in bytes. */
  bytes: number
  /** The task takes at least as long as this many iterations of PBKDF2-SHA256. The result does not depend on them. */
  minIterations?: number
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

function runTask({ password, derivation, bytes, minIterations = 0 }: HashTask): Buffer {
  const startedMs = performance.now()
  const digest = deriveKey(password, derivation, bytes)
  if (derivation.algorithm === 'pbkdf2_sha256') spendIterations(minIterations - derivation.iterations)
  else spendRest(minIterations, performance.now() - startedMs)
  return digest
}

function spendIterations(iterations: number) {
  if (iterations >= 1) pbkdf2Sync('', '', Math.floor(iterations), 32, 'sha256')
}

/** The part of the iterations whose running time says how much of the rest has passed already. */
const CALIBRATION_SHARE = 0.1

/**
 * Makes a hash of another algorithm take as long as `iterations` of PBKDF2. It measures how fast this machine is, because
 * the cost of the two differs by machine.
 *
 * @param spentMs the time that the other algorithm took.
 */
function spendRest(iterations: number, spentMs: number) {
  const sample = iterations * CALIBRATION_SHARE
  const startedMs = performance.now()
  spendIterations(sample)
  const sampleMs = performance.now() - startedMs
  if (sampleMs > 0) spendIterations(iterations - sample - (spentMs / sampleMs) * sample)
}

if (parentPort !== null) {
  const port = parentPort
  lowerPriority()
  port.on('message', (task: HashTask) => port.postMessage(runTask(task)))
}
