import { deadLetterSchema } from '@tidings/shared/dead-letter'
import { outboundJobSchema } from '@tidings/shared/outbound-message'
import {
  bareEventSchema,
  envelopeSchema,
  STATUSES_WITH_ERROR,
  statusReportSchema,
} from '@tidings/shared/status-event'
import { z } from 'zod'

type JsonSchema = Record<string, unknown>

interface Contract {
  title: string
  description: string
  schema: z.ZodType
  /** Completes what the zod schema cannot say. */
  complete?(json: JsonSchema): JsonSchema
}

const QUEUE_EVENT_FILE = 'queue-event.schema.json'

/** The zod schemas check this in code. */
const requireError = (json: JsonSchema): JsonSchema => ({
  ...json,
  if: { required: ['status'], properties: { status: { enum: STATUSES_WITH_ERROR } } },
  // biome-ignore lint/suspicious/noThenProperty: JSON Schema has a keyword of this name.
  then: { required: ['error'], properties: { error: { not: { type: 'null' } } } },
})

/** The worker reads the events of an envelope one by one, so its schema leaves them open. */
const requireEvents = (json: JsonSchema): JsonSchema => {
  const { events, ...others } = json.properties as Record<string, JsonSchema>
  return { ...json, properties: { ...others, events: { ...events, items: { $ref: QUEUE_EVENT_FILE } } } }
}

/** By the name of the file in docs/. */
const CONTRACTS: Readonly<Record<string, Contract>> = {
  'status-report.schema.json': {
    title: 'StatusReport',
    description: 'The body of POST /api/v1/{type}/status/, and an event of a batch.',
    schema: statusReportSchema,
    complete: requireError,
  },
  [QUEUE_EVENT_FILE]: {
    title: 'QueueEvent',
    description:
      'An event that a producer puts onto the BullMQ queue status-events, alone or in an envelope.',
    schema: bareEventSchema,
    complete: requireError,
  },
  'envelope.schema.json': {
    title: 'Envelope',
    description:
      'The data of a job on the BullMQ queue status-events. An invalid event does not fail the others.',
    schema: envelopeSchema,
    complete: requireEvents,
  },
  'dead-letter.schema.json': {
    title: 'DeadLetter',
    description: 'The data of a job on the BullMQ queue status-events-dead.',
    schema: deadLetterSchema,
  },
  'outbound-message.schema.json': {
    title: 'OutboundMessage',
    description: 'The data of a job on the BullMQ queue outbound-messages.',
    schema: outboundJobSchema,
  },
}

/** Renders the JSON Schemas in docs/, by the names of their files. */
export const renderJsonSchemas = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(CONTRACTS).map(([file, contract]) => [
      file,
      `${JSON.stringify(render(contract), null, 2)}\n`,
    ]),
  )

function render({ title, description, schema, complete }: Contract): JsonSchema {
  // Of all dialects, AsyncAPI's tools must read this one only.
  const converted = z.toJSONSchema(schema, { target: 'draft-7', io: 'input', override: simplifyText })
  const { $schema, definitions, ...json } = converted as {
    definitions?: Record<string, JsonSchema>
  } & JsonSchema
  // A schema with an id becomes a reference to its only definition.
  const root = json.$ref === undefined ? { ...json, definitions } : definitions?.[title]
  return { $schema, title, description, ...(complete?.(root ?? {}) ?? root) }
}

function simplifyText({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodTypes
  jsonSchema: JsonSchema
}): void {
  const { format, pattern } = jsonSchema
  if (format === undefined || pattern === undefined) return
  // A format says the same as its pattern, and people can read it.
  if ('format' in zodSchema._zod.def) delete jsonSchema.pattern
  // The pattern of a reported time takes more than `date-time`, which requires seconds.
  else delete jsonSchema.format
}
