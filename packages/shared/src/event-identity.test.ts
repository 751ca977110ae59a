import { describe, expect, it } from 'vitest'
import { identifyEvent } from './event-identity.ts'
import type { StatusReport } from './status-event.ts'
import { makeReport } from './testing/make-event.ts'

const report = (fields: Partial<StatusReport> = {}) => makeReport({ notification_id: 'n-1', ...fields })
const reception = { type: 'email' as const, source: 'mailer', receivedAt: new Date('2026-01-01T00:00:00Z') }

describe('the identity of an event', () => {
  it('is derived from source and event_id, whatever the content', () => {
    const first = identifyEvent(report({ event_id: 'k' }), reception)
    const repeat = identifyEvent(report({ event_id: 'k' }), { ...reception, receivedAt: new Date() })
    const other = identifyEvent(report({ event_id: 'k', status: 'sent' }), reception)
    expect(repeat.id).toBe(first.id)
    expect(repeat.content_hash).toBe(first.content_hash)
    expect(other.id).toBe(first.id)
    expect(other.content_hash).not.toBe(first.content_hash)
  })

  it('differs between sources', () => {
    const a = identifyEvent(report({ event_id: 'k' }), reception)
    const b = identifyEvent(report({ event_id: 'k' }), { ...reception, source: 'other' })
    expect(a.id).not.toBe(b.id)
  })

  it('differs between a hook and a service key of its name', () => {
    const ofKey = identifyEvent(report({ event_id: 'k' }), reception)
    const ofHook = identifyEvent(report({ event_id: 'k' }), { ...reception, isHook: true })
    expect(ofHook.id).not.toBe(ofKey.id)
    expect(ofHook.source).toBe(ofKey.source)
  })

  it('is derived from the Idempotency-Key when there is no event_id', () => {
    const byHeader = identifyEvent(report(), { ...reception, idempotencyKey: 'k' })
    expect(byHeader.id).toBe(identifyEvent(report({ event_id: 'k' }), reception).id)
    expect(byHeader.content_hash).toBe(identifyEvent(report({ event_id: 'k' }), reception).content_hash)
  })

  it('is derived from the whole content when the producer gave a timestamp', () => {
    const timestamp = '2026-01-01T00:00:00Z'
    const first = identifyEvent(report({ timestamp }), reception)
    expect(identifyEvent(report({ timestamp }), { ...reception, receivedAt: new Date() }).id).toBe(first.id)
    expect(identifyEvent(report({ timestamp, attempt: 2 }), reception).id).not.toBe(first.id)
    expect(identifyEvent(report({ timestamp }), { ...reception, type: 'push' }).id).not.toBe(first.id)
  })

  it('is new for every report without key and timestamp', () => {
    expect(identifyEvent(report(), reception).id).not.toBe(identifyEvent(report(), reception).id)
  })

  it('is the same when a job is delivered again', () => {
    const again = { ...reception, fallbackKey: 'status-events/1/0' }
    expect(identifyEvent(report(), again).id).toBe(identifyEvent(report(), again).id)
  })

  it('is a valid UUID', () => {
    const { id } = identifyEvent(report({ event_id: 'é'.repeat(128) }), reception)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('increases from one new event to the next and never repeats', () => {
    const ids = Array.from({ length: 10_000 }, () => identifyEvent(report(), reception).id)
    expect(ids).toEqual(ids.toSorted())
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})

describe('the recipient of an event', () => {
  const at = { source: 'mailer', receivedAt: new Date() }

  it('is kept as a keyed digest, equal for each spelling of an address', () => {
    const digests = ['a@example.com', ' A@Example.COM '].map(
      (recipient) =>
        identifyEvent(makeReport({ recipient }), { ...at, type: 'email', recipientKey: 'k'.repeat(16) })
          .recipient_digest,
    )
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(digests[1]).toBe(digests[0])
  })

  it('differs by key and by channel, and is nowhere in the event', () => {
    const identify = (type: 'email' | 'push', recipientKey: string) =>
      identifyEvent(makeReport({ recipient: 'abc' }), { ...at, type, recipientKey })
    const events = [identify('email', 'one'), identify('email', 'two'), identify('push', 'one')]
    expect(new Set(events.map((event) => event.recipient_digest)).size).toBe(3)
    for (const event of events) expect(event).not.toHaveProperty('recipient')
  })
})
