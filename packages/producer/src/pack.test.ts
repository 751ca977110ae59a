import { Batcher } from '@tidings/runtime/batcher'
import { LIMITS } from '@tidings/shared/status-event'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MAX_BATCH_SIZE, sizeOfEvent } from './pack.ts'
import { prepareEvent } from './prepare-event.ts'

/** What the API takes, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024

test('any events are packed into batches that the API takes, in order, and none is lost', async () => {
  const largest = 95_000
  const lengths = fc.array(
    fc.oneof(
      fc.integer({ min: 30, max: 400 }),
      fc.integer({ min: 1_900, max: 2_100 }),
      fc.integer({ min: 400, max: largest }),
    ),
    { maxLength: 1_500, size: 'max' },
  )
  await fc.assert(
    fc.asyncProperty(lengths, fc.integer({ min: 1, max: 4 }), async (sizes, maxInFlight) => {
      const batches: { index: number; json: string }[][] = []
      const batcher = new Batcher<{ index: number; json: string }, number>({
        maxSize: MAX_BATCH_SIZE,
        sizeOf: sizeOfEvent,
        windowMs: 0,
        maxInFlight,
        flush: async (events) => {
          batches.push(events)
          return events.map(({ index }) => index)
        },
      })
      // Two bytes a character, so that characters are not mistaken for bytes.
      const results = await Promise.all(
        sizes.map((size, index) => batcher.add({ index, json: 'é'.repeat(Math.floor(size / 2)) })),
      )
      expect(results).toEqual(sizes.map((_, index) => index))
      expect(batches.flat().map(({ index }) => index)).toEqual(sizes.map((_, index) => index))
      for (const batch of batches) {
        expect(batch.length).toBeLessThanOrEqual(LIMITS.envelopeEvents)
        const body = `{"events":[${batch.map(({ json }) => json).join(',')}]}`
        expect(Buffer.byteLength(body)).toBeLessThan(MAX_BODY_BYTES)
      }
    }),
    { numRuns: 30 },
  )
})

test('small events fill a batch of 500', () => {
  expect(MAX_BATCH_SIZE / sizeOfEvent({ json: '{}' })).toBe(LIMITS.envelopeEvents)
})

test('the largest event is a small part of a batch', () => {
  // A control character is one character, and six bytes of JSON.
  const text = (length: number) => '\u0001'.repeat(length)
  const event = prepareEvent({
    notification_type: 'email',
    status: 'failed',
    notification_id: text(LIMITS.notificationIdLength),
    event_id: text(LIMITS.eventIdLength),
    provider: text(LIMITS.providerLength),
    provider_message_id: text(LIMITS.notificationIdLength),
    recipient: text(LIMITS.recipientLength),
    category: 'x'.repeat(LIMITS.categoryLength),
    error: { code: text(LIMITS.errorCodeLength), message: text(LIMITS.errorLength) },
    metadata: { a: 'x'.repeat(LIMITS.metadataBytes - 10) },
  })
  expect(sizeOfEvent(event)).toBeLessThan(MAX_BATCH_SIZE / 10)
})
