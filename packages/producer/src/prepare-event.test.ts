import { describe, expect, it } from 'vitest'
import { ProducerError } from './errors.ts'
import { prepareEvent } from './prepare-event.ts'

const report = { notification_type: 'email', notification_id: 'n', status: 'sent' } as const

function errorOf(value: unknown): ProducerError {
  try {
    prepareEvent(value)
  } catch (error) {
    if (error instanceof ProducerError) return error
    throw error
  }
  throw new Error('It is valid')
}

describe('an event before it is sent', () => {
  it('gets an event_id that is a UUID v7, and a new one each time', () => {
    const ids = [prepareEvent(report), prepareEvent(report)].map(({ eventId, json }) => {
      expect(JSON.parse(json).event_id).toBe(eventId)
      return eventId
    })
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(new Set(ids).size).toBe(2)
  })

  it('keeps its own event_id', () => {
    expect(prepareEvent({ ...report, event_id: 'mine' })).toMatchObject({ eventId: 'mine', type: 'email' })
  })

  it('is sent as it was when it was reported', () => {
    const metadata = { tags: ['a'] }
    const { json } = prepareEvent({ ...report, metadata })
    metadata.tags.push('b')
    expect(JSON.parse(json).metadata).toEqual({ tags: ['a'] })
  })

  it('loses fields that are unknown or null', () => {
    const { json } = prepareEvent({ ...report, event_id: 'e', source: 'another', note: 'x', user_id: null })
    expect(JSON.parse(json)).toEqual({ notification_id: 'n', status: 'sent', event_id: 'e' })
  })

  it.for<[field: string, value: Record<string, unknown>, message: string]>([
    ['status', { status: 'secret' }, 'Must be one of: pending, sent,'],
    ['error', { status: 'failed' }, 'This status requires an error.'],
    ['notification_id', { notification_id: 'secret'.repeat(50) }, 'Must be at most 255 characters long.'],
    ['notification_type', { notification_type: 'secret' }, 'Must be one of: email, push.'],
    ['user_id', { user_id: 'secret' }, 'Use a UUID.'],
    ['timestamp', { timestamp: 'secret' }, 'Use ISO 8601 with an offset'],
    ['provider', { provider: 'secret\0' }, 'The NUL character is not allowed.'],
    ['attempt', { attempt: Number.NaN }, 'Number is out of range.'],
    ['metadata', { metadata: { secret: 2 ** 60 } }, 'Whole numbers in metadata must be within'],
    ['metadata', { metadata: { secret: 'x'.repeat(5_000) } }, 'Metadata must be at most 4096 bytes of JSON.'],
    ['event', { metadata: { secret: 1n } }, 'It cannot be written as JSON.'],
  ])('is refused by its %s, with the rule and without values', ([field, fields, message]) => {
    const error = errorOf({ ...report, ...fields })
    expect(error).toMatchObject({ code: 'invalid_event', retryable: false })
    expect(error.message).toContain(`${field}: ${message}`)
    expect(error.fields[0]?.pointer).toBe(field === 'event' ? '' : `/${field}`)
    expect(JSON.stringify([error, error.message, error.stack, error.cause])).not.toContain('secret')
  })

  it.for<unknown>([undefined, null, 'secret', 7, [], new Map()])('is refused when it is %s', (value) => {
    expect(errorOf(value)).toMatchObject({ code: 'invalid_event' })
  })

  it('is refused with all its problems', () => {
    expect(errorOf({ status: 'failed' }).fields.map(({ pointer }) => pointer)).toEqual([
      '/notification_id',
      '/notification_type',
    ])
  })
})
