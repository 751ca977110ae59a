import { LIMITS } from '@tidings/shared/status-event'
import type { PreparedEvent } from './prepare-event.ts'

/**
 * Most bytes of the events in one request or job. The API takes 1 MiB, which leaves room for what stands between them.
 * A job may be longer.
 */
export const MAX_BATCH_SIZE = 1_000_000

/**
 * The size of an event in bytes, and at least a 500th of MAX_BATCH_SIZE. So a batch whose sizes fit MAX_BATCH_SIZE
 * also has at most 500 events.
 */
export const sizeOfEvent = ({ json }: Pick<PreparedEvent, 'json'>): number =>
  Math.max(Buffer.byteLength(json), MAX_BATCH_SIZE / LIMITS.envelopeEvents)
