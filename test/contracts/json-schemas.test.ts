import { readFile } from 'node:fs/promises'
import { deadLetterSchema } from '@tidings/shared/dead-letter'
import { outboundJobSchema } from '@tidings/shared/outbound-message'
import { bareEventSchema, envelopeSchema, statusReportSchema } from '@tidings/shared/status-event'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { renderJsonSchemas } from '../../tools/docs/render-json-schemas.ts'
import { arbitraryEvent, FULL_EVENT } from './event-samples.ts'

const rendered = renderJsonSchemas()
const ajv = new Ajv({ allErrors: true, strictTypes: false })
addFormats.default(ajv)

beforeAll(async () => {
  for (const file of Object.keys(rendered)) {
    const text = await readFile(new URL(`../../docs/${file}`, import.meta.url), 'utf8')
    ajv.addSchema(JSON.parse(text), file)
  }
})

test.for(Object.keys(rendered))(
  'docs/%s matches its source; if not, run npm run docs:schema',
  async (file) => {
    // The formatter breaks its lines elsewhere.
    expect(ajv.getSchema(file)?.schema).toEqual(JSON.parse(rendered[file] ?? ''))
  },
)

test('docs/producers.md has a row for each field of a report', async () => {
  const page = await readFile(new URL('../../docs/producers.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const named = new Set(rows.flatMap((row) => row.split('|')[1]?.match(/\w+/g) ?? []))
  expect(Object.keys(report).filter((field) => !named.has(field))).toEqual([])
})

const { notification_type: _, ...report } = FULL_EVENT
const deadLetter = {
  event: report,
  reason: 'unknown_user',
  error: { code: 'unknown_user', message: 'The user does not exist.' },
  fingerprint: 'f',
  attempts: 1,
  history: [{ at: '2026-01-31T12:00:00.000Z', code: 'c', message: 'm' }],
  first_failed_at: '2026-01-31T12:00:00.000Z',
  dead_at: '2026-01-31T12:00:00.000Z',
  source_job_id: null,
  redrives: 0,
}
const message = {
  v: 1,
  id: '019ad2c4-7f0e-7c51-9b0e-6a6f2f2f7c11',
  kind: 'password_reset',
  to: 'ann@example.com',
  user_id: '019ad2c4-5d1b-7a60-8e52-0f2f3b8f9d10',
  locale: 'pt-BR',
  variables: { name: 'Ann' },
  expires_at: '2026-11-29T15:00:00.000Z',
}

interface Samples {
  schema: z.ZodType
  valid: unknown[]
  invalid: unknown[]
}

const invalidReports = (valid: object) => [
  null,
  [valid],
  ...['notification_id', 'status'].map((field) => ({ ...valid, [field]: undefined })),
  { ...valid, notification_id: '' },
  { ...valid, notification_id: 'x'.repeat(256) },
  { ...valid, status: 'lost' },
  { ...valid, user_id: 'ann' },
  { ...valid, error: null },
  { ...valid, error: { code: '550' } },
  { ...valid, error: { message: 'No.', class: 'odd' } },
  { ...valid, timestamp: '2026-01-31T12:00:00' },
  { ...valid, timestamp: '2026-02-30T12:00:00Z' },
  { ...valid, attempt: 1.5 },
  { ...valid, category: 'News' },
  { ...valid, metadata: ['a'] },
  { ...valid, recipient: 7 },
]

/** Of each schema: both the zod schema and its JSON Schema must judge them so. */
const SAMPLES: Record<string, Samples> = {
  'status-report.schema.json': {
    schema: statusReportSchema,
    valid: [report, { notification_id: 'n', status: 'sent' }, { ...report, user_id: null, unknown: 1 }],
    invalid: invalidReports(report),
  },
  'queue-event.schema.json': {
    schema: bareEventSchema,
    valid: [FULL_EVENT, { ...FULL_EVENT, timestamp: '2026-01-31T12:00Z', source: 'mailer' }],
    invalid: [...invalidReports(FULL_EVENT), report, { ...FULL_EVENT, notification_type: 'fax' }],
  },
  'envelope.schema.json': {
    schema: envelopeSchema,
    valid: [{ v: 1, events: Array(500).fill(FULL_EVENT) }],
    invalid: [
      FULL_EVENT,
      { events: [FULL_EVENT] },
      { v: 2, events: [FULL_EVENT] },
      { v: 1, events: [] },
      { v: 1, events: Array(501).fill(FULL_EVENT) },
    ],
  },
  'dead-letter.schema.json': {
    schema: deadLetterSchema,
    valid: [deadLetter, { ...deadLetter, event: 'not JSON', history: undefined }],
    invalid: [{ ...deadLetter, reason: 'bored' }, { ...deadLetter, redrives: -1 }, FULL_EVENT],
  },
  'outbound-message.schema.json': {
    schema: outboundJobSchema,
    valid: [message],
    invalid: [
      { ...message, more: 1 },
      { ...message, kind: 'advert' },
      { ...message, expires_at: 'soon' },
    ],
  },
}

/** What arrives: JSON has no undefined. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('every JSON Schema has samples', () => {
  expect(Object.keys(SAMPLES)).toEqual(Object.keys(rendered))
})

describe.for(Object.entries(SAMPLES))('docs/%s', ([file, { schema, valid, invalid }]) => {
  let validate: ValidateFunction
  beforeAll(() => {
    validate = ajv.getSchema(file) as ValidateFunction
  })

  test('accepts what the code accepts', () => {
    for (const sample of valid.map(asJson)) {
      expect(schema.safeParse(sample).error).toBeUndefined()
      expect(validate(sample), ajv.errorsText(validate.errors)).toBe(true)
    }
  })

  test('refuses what the code refuses', () => {
    for (const sample of invalid.map(asJson)) {
      expect(schema.safeParse(sample).success, JSON.stringify(sample)).toBe(false)
      expect(validate(sample), JSON.stringify(sample)).toBe(false)
    }
  })
})

describe('the JSON Schema of an event on the queue', () => {
  test('accepts every event that the code accepts', () => {
    const validate = ajv.getSchema('queue-event.schema.json') as ValidateFunction
    let accepted = 0
    const isAccepted = (event: unknown) => bareEventSchema.safeParse(event).success
    fc.assert(
      fc.property(arbitraryEvent, (event) => {
        if (!isAccepted(event)) return
        accepted++
        expect(validate(event), ajv.errorsText(validate.errors)).toBe(true)
      }),
      { numRuns: 3_000 },
    )
    // Otherwise the test shows nothing.
    expect(accepted).toBeGreaterThan(500)
  })

  test('requires all of an envelope that its events are valid', () => {
    const validate = ajv.getSchema('envelope.schema.json') as ValidateFunction
    const { status: _, ...incomplete } = FULL_EVENT
    expect(validate({ v: 1, events: [FULL_EVENT, incomplete] })).toBe(false)
  })

  // The pages say so: docs/contracts.md.
  test.for<[why: string, event: object]>([
    ['a notification_id that no URL can name', { notification_id: '..' }],
    ['a time far ahead', { timestamp: '2999-01-01T00:00:00Z' }],
    ['a time before 1970', { timestamp: '1969-01-01T00:00:00Z' }],
    ['large metadata', { metadata: { text: 'x'.repeat(5_000) } }],
    ['a whole number beyond 2^53 - 1 in metadata', { metadata: { id: 2 ** 60 } }],
  ])('accepts what only the code refuses: %s', ([, change]) => {
    const event = { ...FULL_EVENT, ...change }
    expect(bareEventSchema.safeParse(event).success).toBe(false)
    expect(ajv.validate('queue-event.schema.json', event)).toBe(true)
  })
})
