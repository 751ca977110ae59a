import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/** How long idle connections stay open when their clients could not know of the end, in milliseconds. */
const IDLE_MS = 4_000
/** How long they stay open for a request that is on its way when earlier answers announced the end. */
const ANNOUNCED_IDLE_MS = 250
/** When the remaining connections are closed, in milliseconds. */
const LIMIT_MS = 4_500

/** A turn of the event loop shorter than this leaves hardly any connection unaccepted. In milliseconds. */
const QUIET_TURN_MS = 0.5
const QUIET_TURN_LIMIT_MS = 500

/**
 * Waits until Node has accepted the connections that the kernel has established: closing the listening socket resets
 * the others. A turn of the event loop accepts all that wait, so a very short turn means that none waited.
 */
export async function acceptPending(): Promise<void> {
  // The first turn may still be the one in which the signal arrived.
  await nextTurn()
  const giveUpAt = performance.now() + QUIET_TURN_LIMIT_MS
  for (let turnedAt = performance.now(); ; ) {
    await nextTurn()
    const now = performance.now()
    if (now - turnedAt < QUIET_TURN_MS || now > giveUpAt) return
    turnedAt = now
  }
}

/**
 * Stops listening, then leaves idle connections open for a while. Node's own close() ends them at once, and a request
 * that is just arriving on one would be reset.
 *
 * @param isAnnounced whether the answers of the last seconds had `Connection: close`.
 */
export async function drainServer(server: Server, isAnnounced: boolean): Promise<void> {
  const idleMs = isAnnounced ? ANNOUNCED_IDLE_MS : IDLE_MS
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  const timer = new AbortController()
  const wait = (ms: number) => sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)
  const force = async () => {
    await wait(idleMs)
    server.closeIdleConnections()
    await wait(LIMIT_MS - idleMs)
    server.closeAllConnections()
  }
  await Promise.race([closed, force()])
  timer.abort()
  await closed
}
