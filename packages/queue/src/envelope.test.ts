import { identifyEvent } from '@tidings/shared/event-identity'
import { findUnsafeJson } from '@tidings/shared/json'
import { makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createUnreadableItem } from '@tidings/shared/unreadable-item'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redact } from './dead-letters/redact.ts'
import { parseEnvelope } from './envelope.ts'

const job = (data: unknown, id = '7') => ({
  id,
  data,
  timestamp: 1_767_225_600_000,
  queueName: 'status-events',
})
const event = identifyEvent(
  { notification_id: 'n', status: 'delivered' },
  { type: 'email', source: 's', receivedAt: new Date() },
)

describe('parsing an envelope', () => {
  it('returns the events of an envelope', () => {
    expect(parseEnvelope(job({ v: 1, events: [event] }))).toMatchObject({ events: [event], invalid: [] })
  })

  it('accepts a bare event and gives it the same id each time', () => {
    const bare = { notification_id: 'n', notification_type: 'push', status: 'sent' }
    const first = parseEnvelope(job(bare))
    expect(first.events).toMatchObject([{ ...bare, source: 'queue' }])
    expect(parseEnvelope(job(bare)).events[0]?.id).toBe(first.events[0]?.id)
    expect(parseEnvelope(job(bare, '8')).events[0]?.id).not.toBe(first.events[0]?.id)
  })

  it('ignores the id of a bare event, like any unknown field', () => {
    const bare = { notification_id: 'n', notification_type: 'push', status: 'sent' }
    const plain = parseEnvelope(job(bare)).events
    expect(plain).toHaveLength(1)
    for (const id of [5, 'mine', plain[0]?.id.replace(/^./, '0')])
      expect(parseEnvelope(job({ ...bare, id })).events).toEqual(plain)
  })

  it('separates a bad event from its neighbours', () => {
    const nul = { ...event, id: '11111111-1111-4111-8111-111111111111', notification_id: 'x\0' }
    const parsed = parseEnvelope(
      job({ v: 1, events: [event, nul, 'nonsense', { ...event, status: 'lost' }] }),
    )
    expect(parsed.events).toEqual([event])
    expect(parsed.invalid.map((invalid) => invalid.id)).toEqual([
      nul.id,
      expect.stringMatching(/^[0-9a-f]{32}$/),
      event.id,
    ])
  })

  it('gives an unreadable event the same id in every job, and after a redrive', () => {
    const idOf = (item: unknown, id: string) =>
      parseEnvelope(job({ v: 1, events: [item] }, id)).invalid[0]?.id
    const item = { notification_type: 'fax', status: 'sent' }
    expect(idOf(item, '7')).toMatch(/^[0-9a-f]{32}$/)
    expect(idOf({ ...item, redrives: 1, redrive_key: 'k' }, '8')).toBe(idOf(item, '7'))
    expect(idOf({ ...item, status: 'failed' }, '7')).not.toBe(idOf(item, '7'))
  })

  it('never throws and drops nothing, whatever is on the queue', () => {
    const bare = { notification_id: 'n', notification_type: 'push', status: 'sent' }
    const data = fc.oneof(fc.jsonValue(), fc.constant(bare), fc.constant({ v: 1, events: [bare] }))
    // Times that a producer may write that adds jobs to Redis itself: nanoseconds, none, nonsense.
    const timestamp = fc.oneof(fc.constant(Number.NaN), fc.constant(1.7e18), fc.double())
    fc.assert(
      fc.property(data, timestamp, (given, time) => {
        const parsed = parseEnvelope({ ...job(given), timestamp: time })
        expect(parsed.events.length + parsed.invalid.length).toBeGreaterThan(0)
        const again = parseEnvelope({ ...job(given), timestamp: time })
        expect(again.events.map(({ id }) => id)).toEqual(parsed.events.map(({ id }) => id))
        expect(again.invalid.map(({ id }) => id)).toEqual(parsed.invalid.map(({ id }) => id))
      }),
    )
  })

  it('rejects an event whose time could not be read back', () => {
    const at = (time: object) => parseEnvelope(job({ v: 1, events: [{ ...event, ...time }] })).invalid.length
    expect(at({ timestamp: '0001-01-01T00:00:00+00:01' })).toBe(1)
    expect(at({ received_at: '9999-12-31T23:59:59-12:00' })).toBe(1)
    expect(at({ timestamp: '9999-12-31T23:59:59Z' })).toBe(0)
  })

  it('cuts a deeply nested event so that it can be written as JSON', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`)
    const bare = { notification_id: 'n', notification_type: 'push', status: 'sent', metadata: deep }
    for (const data of [bare, { v: 1, events: [{ ...event, metadata: deep }] }, { v: 1, events: [deep] }]) {
      const { events, invalid } = parseEnvelope(job(data))
      expect(events).toEqual([])
      expect(JSON.stringify(invalid[0]?.raw).length).toBeLessThan(1_000)
    }
  })

  const bare = { notification_id: 'n', notification_type: 'push', status: 'sent' }
  const messages = (data: unknown) => parseEnvelope(job(data)).invalid.map(({ message }) => message)

  it('names every problem of an event, and fields in camelCase', () => {
    const camelCase = { notificationId: 'n', notificationType: 'push', status: 'lost' }
    const [message] = messages({ v: 1, events: [camelCase] })
    expect(message).toContain('notification_id: This field is required.')
    expect(message).toContain('notification_type: This field is required.')
    expect(message).toContain('status: Must be one of: pending, ')
    expect(message).toContain('notificationId: The name of this field is notification_id.')
    expect(message).toContain('notificationType: The name of this field is notification_type.')
  })

  it.each([
    ['without a version', { events: [bare, bare] }, 2, 'v: This field is required.'],
    ['with a null version', { v: null, events: [bare] }, 1, 'v: This field is required.'],
    ['with a text as version', { v: '1', events: [bare] }, 1, 'v: Must be one of: 1.'],
    [
      'with too many events',
      { v: 1, events: Array(600).fill(bare) },
      600,
      'events: Must be at most 500 items long.',
    ],
    ['with no event', { v: 1, events: [] }, 1, 'events: Must be at least 1 items long.'],
    ['that is a list', [bare, bare], 2, 'envelope: Must be an object.'],
    ['with far too many events', { v: 1, events: Array(6_000).fill(bare) }, 1, 'events: Must be at most 500'],
  ])('names the problem of an envelope %s, with each event by itself', (_name, data, items, problem) => {
    const found = messages(data)
    expect(found).toHaveLength(items)
    for (const message of found) expect(message).toContain(problem)
    expect(found.join()).not.toContain('notification_type')
  })

  it('reads a bare event whose unknown fields are named like those of an envelope', () => {
    expect(parseEnvelope(job({ ...bare, v: 2, events: ['x'] })).events).toMatchObject([bare])
  })

  it('keeps an envelope of a newer version whole', () => {
    const data = { v: 2, items: [bare] }
    const parsed = parseEnvelope(job(data))
    expect(parsed).toMatchObject({ events: [], newerVersion: 2 })
    expect(parsed.invalid).toMatchObject([{ reason: 'newer_version', raw: data }])
  })

  it('separates events that name their message only', () => {
    const unresolved = makeUnresolvedEvent({ status: 'bounced', error: 'no such box' })
    const parsed = parseEnvelope(job({ v: 1, events: [event, { ...unresolved, redrives: 2 }] }))
    expect(parsed).toMatchObject({
      events: [event],
      unresolved: [{ ...unresolved, redrives: 2 }],
      invalid: [],
    })
    const { provider: _, ...unnamed } = unresolved
    expect(parseEnvelope(job({ v: 1, events: [unnamed] })).invalid).toMatchObject([
      { id: unresolved.id, message: 'provider: This field is required.' },
    ])
    const { provider_message_id: __, ...neither } = unresolved
    expect(messages({ v: 1, events: [neither] })).toEqual(['notification_id: This field is required.'])
  })

  it('reads an event that names its message only after its dead letter lost what names an erased user', () => {
    const event = makeUnresolvedEvent({
      status: 'bounced',
      error: 'no box ann@example.com',
      metadata: { a: 1 },
    })
    const redacted = redact({ event, error: { code: 'unknown_notification', message: '' } }).event
    const { provider, provider_message_id, id } = event
    expect(parseEnvelope(job({ v: 1, events: [redacted] })).unresolved).toMatchObject([
      { id, provider, provider_message_id, error: '[erased]' },
    ])
  })

  it('makes one invalid event of what a receiver could not read, with its problem', () => {
    const receivedAt = new Date('2026-01-31T12:00:00Z')
    const report = { problem: 'timestamp: Must be a number.', provider: 'sendgrid', source: 'sg', receivedAt }
    const payloads = [{ timestamp: 'x' }, '{"broken', ['\0', '\ud800'], { n: Number.POSITIVE_INFINITY }, null]
    for (const payload of payloads) {
      const item = createUnreadableItem({ ...report, payload })
      const [invalid, ...others] = parseEnvelope(job({ v: 1, events: [item] })).invalid
      expect(others).toEqual([])
      expect(invalid).toMatchObject({ reason: 'invalid_event', message: report.problem, raw: item })
      const again = { ...createUnreadableItem({ ...report, receivedAt: new Date(), payload }), redrives: 1 }
      expect(parseEnvelope(job({ v: 1, events: [again] }, '8')).invalid).toMatchObject([
        { id: invalid?.id, redrives: 1 },
      ])
      expect(findUnsafeJson(item)).toBeUndefined()
    }
    const bare = { notification_id: 'n', notification_type: 'push', status: 'sent' }
    const item = createUnreadableItem({ ...report, payload: 1 })
    expect(parseEnvelope(job({ ...item, ...bare })).events).toMatchObject([bare])
  })

  it('takes null for absent', () => {
    const nulls = {
      id: null,
      received_at: null,
      source: null,
      user_id: null,
      timestamp: null,
      metadata: null,
    }
    expect(parseEnvelope(job({ ...bare, ...nulls })).events).toEqual(parseEnvelope(job(bare)).events)
  })

  it.each([
    ['1e400', { score: Number.POSITIVE_INFINITY }, 'metadata: Number is out of range.'],
    ['NUL', { score: '\0' }, 'metadata: The NUL character is not allowed.'],
    [
      '2^53',
      { score: 2 ** 53 },
      'metadata: Whole numbers in metadata must be within ±(2^53 - 1). Send larger ones as text.',
    ],
  ])('says what is wrong with %s', (_name, metadata, message) => {
    expect(messages({ ...bare, metadata })).toEqual([message])
  })

  it('reads an event that is kept as text because of a number in an unknown field', () => {
    const text =
      '{"notification_id":"n","notification_type":"push","status":"sent","sequence":12345678901234567890}'
    expect(parseEnvelope(job({ v: 1, events: [text] })).events).toMatchObject([bare])
    expect(messages({ v: 1, events: [text.replace('sequence', 'attempt')] })[0]).toMatch(/^attempt: /)
  })

  it('ignores recorded failures whose time is not readable', () => {
    const failures = { [event.id]: [{ at: 'yesterday', code: '55P03', message: 'locked' }] }
    expect(parseEnvelope(job({ v: 1, events: [event], failures })).failures).toEqual({})
  })
})
