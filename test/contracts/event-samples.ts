import { ERROR_CLASSES, NOTIFICATION_TYPES, STATUSES } from '@tidings/shared/status-event'
import fc from 'fast-check'

/** An event with every field. */
export const FULL_EVENT = {
  notification_id: 'order-7',
  notification_type: 'email',
  status: 'bounced',
  user_id: '018f2f6a-0000-7000-8000-000000000000',
  error: { code: '550', class: 'permanent', message: 'No such user.' },
  timestamp: '2026-01-31T12:00:00+02:00',
  event_id: 'sg-1',
  attempt: 1,
  provider: 'sendgrid',
  provider_message_id: 'm-1',
  category: 'newsletter',
  metadata: { campaign: 7, tags: ['a', 'b'] },
  recipient: 'ann@example.com',
}

type Values = fc.Arbitrary<unknown>

/** Values of a field: nearly always `usual` ones, else null, `odd` ones, or anything. */
const values = (usual: Values, odd: Values): Values =>
  fc.oneof(
    { weight: 24, arbitrary: usual },
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 2, arbitrary: odd },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  )

const plainText = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
/** Around the limits, and of characters that take two units of UTF-16. */
const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc
    .tuple(fc.constantFrom('a', 'é', '😀'), fc.constantFrom(0, 64, 65, 127, 128, 129, 254, 255, 256, 4097))
    .map(([unit, times]) => unit.repeat(times)),
  fc.constantFrom('.', '..', ' ', 'nul\0', 'line\n'),
)
const text = values(plainText, oddText)

const time = values(
  fc
    .date({ min: new Date('1970-01-02'), max: new Date('2026-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  fc.constantFrom(
    '2026-01-31T12:00Z',
    '2026-01-31T12:00:00.123456789+05:30',
    '2026-01-31T12:00:00',
    '2026-02-30T12:00:00Z',
    '2024-02-29T12:00:00Z',
    '2026-01-31t12:00:00z',
    '2026-01-31T12:00:60Z',
    '2026-01-31T12:00:00+24:00',
    '1970-01-01T00:00:00+00:01',
    '1970-01-01T00:00:00Z',
    '1969-12-31T23:59:59.9999Z',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '2026-01-31T12:00:00Z\n',
    '٢026-01-31T12:00:00Z',
  ),
)

const uuid = values(
  fc.uuid(),
  fc.uuid().chain((id) => fc.constantFrom(id.toUpperCase(), `{${id}}`, `urn:uuid:${id}`, `${id}\n`)),
)

const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(1.5, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e300),
)

const error = fc.oneof(
  text,
  fc.record(
    { code: text, class: values(fc.constantFrom(...ERROR_CLASSES), plainText), message: text },
    { requiredKeys: ['message'] },
  ),
)

const nested = fc.integer({ min: 27, max: 34 }).map((levels) => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { in: value }
  return { value }
})
const metadata = values(
  fc.dictionary(plainText, fc.oneof(fc.integer(), plainText, fc.boolean()), { maxKeys: 4 }),
  fc.oneof(
    fc.dictionary(fc.string(), fc.oneof(fc.jsonValue(), number, oddText), { maxKeys: 4 }),
    nested,
    fc.integer({ min: 4080, max: 4100 }).map((length) => ({ a: 'x'.repeat(length) })),
    fc.integer({ min: 1360, max: 1370 }).map((length) => ({ a: '€'.repeat(length) })),
    fc
      .constantFrom('constructor', '__proto__', 'nul\0')
      .map((key) => ({ in: Object.fromEntries([[key, 1]]) })),
  ),
)

/** Events of a producer as JSON, about half of them valid. */
export const arbitraryEvent: fc.Arbitrary<Record<string, unknown>> = fc.record(
  {
    notification_id: text,
    status: values(fc.constantFrom(...STATUSES), plainText),
    notification_type: values(fc.constantFrom(...NOTIFICATION_TYPES), plainText),
    user_id: uuid,
    error,
    timestamp: time,
    event_id: text,
    attempt: values(fc.nat({ max: 10 }), number),
    provider: text,
    provider_message_id: text,
    category: values(fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,20}$/), oddText),
    metadata,
    recipient: text,
    source: text,
    unknown: text,
  },
  { requiredKeys: ['notification_id', 'status', 'notification_type'] },
)
