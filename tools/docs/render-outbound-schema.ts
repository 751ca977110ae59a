import { outboundJobSchema } from '@tidings/shared/outbound-message'
import { z } from 'zod'

/** Renders docs/outbound-message.schema.json: the data of a job on the queue outbound-messages, as JSON Schema. */
export function renderOutboundSchema(): string {
  const { $schema, $defs } = z.toJSONSchema(outboundJobSchema, {
    override({ jsonSchema }) {
      // `format` says the same, and people can read it.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern
    },
  })
  const head = {
    $schema,
    title: 'OutboundMessage',
    description: 'The data of a job on the BullMQ queue outbound-messages.',
  }
  return `${JSON.stringify({ ...head, ...$defs?.OutboundMessage }, null, 2)}\n`
}
