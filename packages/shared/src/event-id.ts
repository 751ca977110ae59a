import { randomFillSync } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'

const UUID_BYTES = 16
const pool = new Uint8Array(256 * UUID_BYTES)
let drawn = pool.length
let lastMs = 0
let sequence = 0

/**
 * A UUID v7 greater than all earlier ones of this process. Random bytes are drawn for 256 ids at once, because a
 * system call per event is measurable at 10,000 events/s.
 */
export function newEventId(): string {
  if (drawn === pool.length) {
    randomFillSync(pool)
    drawn = 0
  }
  const random = pool.subarray(drawn, drawn + UUID_BYTES)
  drawn += UUID_BYTES
  const now = Date.now()
  if (now > lastMs) {
    lastMs = now
    // The sequence starts in the lower half of its range, so it cannot overflow within a millisecond.
    sequence = new DataView(random.buffer, random.byteOffset).getUint32(6) >>> 1
  } else sequence++
  return uuidv7({ random, msecs: lastMs, seq: sequence })
}
