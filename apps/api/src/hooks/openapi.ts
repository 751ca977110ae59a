import { PROVIDERS } from '@tidings/providers/provider'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'

const resultSchema = z
  .strictObject({
    accepted: z.int(),
    ignored: z.int().describe('Events of types that have no status.'),
    invalid: z.int().describe('Events that became dead letters.'),
  })
  .meta({ id: 'HookResult' })

export const hookOperations: readonly Operation[] = [
  {
    id: 'receiveProviderEvents',
    method: 'post',
    path: '/hooks/:provider/:hook_id',
    tag: 'status',
    summary: 'For providers only: report what became of messages',
    description:
      'The body is the one that the provider documents, with its signature. An operator makes the URL with ' +
      '`tidings hooks create`.',
    access: 'public',
    params: { provider: z.enum(PROVIDERS) },
    answers: { 200: { description: 'The events are durable.', data: resultSchema } },
    errors: [
      'malformed_json',
      'unauthorized',
      'payload_too_large',
      'unsupported_media_type',
      'overloaded',
      'unavailable',
    ],
  },
]
