import { randomUUID } from 'node:crypto'
import { buryEvents, type FailedEvent } from '../dead-letters/bury.ts'
import type { PlacedEntry } from '../dead-letters/entry.ts'
import type { DeadLetterStore, PageRequest } from '../dead-letters/store.ts'

/** A failed event: by default a delivered e-mail of a user who does not exist. */
export function makeFailedEvent(
  overrides: Partial<FailedEvent> & { fields?: Record<string, unknown> } = {},
): FailedEvent {
  const { fields, ...rest } = overrides
  const eventId = rest.eventId ?? randomUUID()
  const at = new Date().toISOString()
  return {
    eventId,
    event: {
      id: eventId,
      notification_id: `notif-${eventId.slice(0, 8)}`,
      notification_type: 'email',
      status: 'delivered',
      source: 'email-service',
      timestamp: at,
      received_at: at,
      ...fields,
    },
    reason: 'unknown_user',
    error: { code: 'unknown_user', message: `There is no user ${randomUUID()}` },
    attempts: 1,
    firstFailedAt: new Date(),
    sourceJobId: '1',
    redrives: 0,
    ...rest,
  }
}

/** Buries events where no user was erased. */
export const bury = (queue: Parameters<typeof buryEvents>[0][number], failedEvents: readonly FailedEvent[]) =>
  buryEvents([queue], failedEvents, async () => new Set())

/** The first page of each part of a store. */
export async function readPage(
  { parts }: Pick<DeadLetterStore, 'parts'>,
  request: PageRequest,
): Promise<PlacedEntry[]> {
  return (await Promise.all(parts.map((part) => part.page(request)))).flat()
}
