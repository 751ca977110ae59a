import { describe, expect, it } from 'vitest'
import { identifyEvent } from './event-identity.ts'
import { bareEventSchema, statusEventSchema, statusReportSchema } from './status-event.ts'
import { makeEvent } from './testing/make-event.ts'
import { registrationSchema, userUpdateSchema } from './user.ts'

const report = { notification_id: 'n', status: 'sent' }
const OPTIONAL_FIELDS = [
  'user_id',
  'error',
  'timestamp',
  'event_id',
  'attempt',
  'provider',
  'provider_message_id',
  'metadata',
]
const nulls = (fields: readonly string[]) => Object.fromEntries(fields.map((field) => [field, null]))

describe('null in an optional field', () => {
  it('is absent in a report, and gives it the same identity', () => {
    const parsed = statusReportSchema.parse({ ...report, ...nulls(OPTIONAL_FIELDS) })
    expect(parsed).toEqual(report)
    const reception = { type: 'email', source: 's', receivedAt: new Date(), idempotencyKey: 'k' } as const
    expect(identifyEvent(parsed, reception)).toEqual(
      identifyEvent(statusReportSchema.parse(report), reception),
    )
  })

  it('is absent in an error', () => {
    const error = { code: null, class: null, message: 'No.' }
    expect(statusReportSchema.parse({ ...report, status: 'failed', error }).error).toEqual({ message: 'No.' })
  })

  it('is absent in an event on the queue', () => {
    const bare = { ...report, notification_type: 'email' }
    expect(bareEventSchema.parse({ ...bare, ...nulls([...OPTIONAL_FIELDS, 'source']) })).toEqual(bare)
    const { timestamp, ...event } = makeEvent()
    const fields = [...OPTIONAL_FIELDS.filter((field) => field !== 'timestamp'), 'content_hash', 'redrives']
    expect(statusEventSchema.parse({ ...event, ...nulls(fields), timestamp })).toEqual({
      ...event,
      timestamp,
    })
  })

  it('is absent in a registration and in a change of a user', () => {
    const person = { name: 'Ada', email: 'ada@example.com', password: 'correct horse' }
    expect(registrationSchema.parse({ ...person, preferences: null })).toEqual(person)
    expect(registrationSchema.parse({ ...person, preferences: { email: null } })).toEqual({
      ...person,
      preferences: {},
    })
    expect(userUpdateSchema.parse({ name: null, preferences: null, push_token: null })).toEqual({
      push_token: null,
    })
  })

  it('is missing where the field is required', () => {
    expect(statusReportSchema.safeParse({ ...report, notification_id: null }).success).toBe(false)
    expect(statusReportSchema.safeParse({ ...report, status: 'failed', error: null }).success).toBe(false)
  })
})

describe('a number in metadata', () => {
  it.each([
    [Number.MAX_SAFE_INTEGER, true],
    [-Number.MAX_SAFE_INTEGER, true],
    [0.1234567890123456, true],
    [2 ** 53, false],
    [-(2 ** 53), false],
    [JSON.parse('12345678901234567890'), false],
    [1e20, false],
  ])('%d is accepted: %s', (value, accepted) => {
    const metadata = { items: [{ value }] }
    const parsed = statusReportSchema.safeParse({ ...report, metadata })
    expect(parsed.success).toBe(accepted)
    expect(parsed.error?.issues[0]?.path).toEqual(accepted ? undefined : ['metadata'])
  })
})

describe('a timestamp', () => {
  it.each([
    ['2026-01-29T06:00Z', '2026-01-29T06:00:00.000Z'],
    ['2026-01-29T06:00+01:30', '2026-01-29T04:30:00.000Z'],
    ['2026-01-29T06:00:07.1234567-05:00', '2026-01-29T11:00:07.123Z'],
  ])('%s is %s', (timestamp, expected) => {
    expect(statusReportSchema.parse({ ...report, timestamp }).timestamp).toBe(expected)
  })

  it.each(['2026-01-29T06Z', '2026-01-29T06:00', '2026-01-29 06:00Z', '2026-01-29T24:00Z'])(
    '%s is refused',
    (timestamp) => {
      expect(statusReportSchema.safeParse({ ...report, timestamp }).success).toBe(false)
    },
  )
})
