import type { AcceptedItem } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { createUnreadableItem } from '@tidings/shared/unreadable-item'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { addToOutbox, countOutboxEvents, relayOutbox } from './event-outbox.ts'

describe('the outbox of events', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })

  it('hands over few large items at once, so that the worker can read the envelope', async () => {
    const large = (megabytes: number) =>
      createUnreadableItem({
        ...{ problem: 'x', provider: 'ses', source: 'hook', receivedAt: new Date() },
        payload: 'x'.repeat(megabytes * 1024 * 1024),
      })
    const items: AcceptedItem[] = [large(5), large(1), makeEvent(), large(1), large(3), makeEvent()]
    for (const item of items) await addToOutbox(db, [item], 'the test says so')
    const published: AcceptedItem[][] = []
    const relay = () => relayOutbox(db, 500, async (batch) => void published.push(batch))
    while ((await relay()) > 0);
    expect(published.map((batch) => batch.length)).toEqual([1, 3, 2])
    expect(published.flat()).toEqual(items)
    expect(await countOutboxEvents(db)).toBe(0)
  })
})
