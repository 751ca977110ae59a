import {
  suppressionAddSchema,
  suppressionCheckSchema,
  suppressionLiftSchema,
  suppressionSchema,
  suppressionStateSchema,
} from '@tidings/shared/suppression'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { suppressionListQuerySchema } from './suppression-routes.ts'

const path = '/api/v1/suppressions'
const tag = 'suppressions'
const example = { channel: 'email', recipient: 'ann@example.com' }
const listOf = z.array(suppressionSchema)

export const suppressionOperations: readonly Operation[] = [
  {
    id: 'listSuppressions',
    method: 'get',
    path,
    tag,
    summary: 'List the suppressions in force, newest first',
    description: 'A recipient is shown as a keyed digest, never as an address or token.',
    access: ['suppressions:read'],
    query: suppressionListQuerySchema,
    answers: { 200: { description: 'A page of suppressions.', list: suppressionSchema } },
  },
  {
    id: 'addSuppression',
    method: 'post',
    path,
    tag,
    summary: 'Suppress a recipient',
    description:
      'Names the recipient by `recipient` or `user_id`. A user is named by the current address or push token.',
    access: ['suppressions:write'],
    body: suppressionAddSchema,
    example: { ...example, reason: 'manual', note: 'asked by phone' },
    answers: {
      200: { description: 'The recipient was suppressed for this reason already.', data: listOf },
      201: { description: 'One suppression for each address or push token.', data: listOf },
    },
  },
  {
    id: 'liftSuppression',
    method: 'delete',
    path,
    tag,
    summary: 'Lift the suppressions of a recipient',
    description:
      'Names the recipient by `recipient`, `digest` or `user_id`. `reason` and `category` narrow what is lifted.',
    access: ['suppressions:write'],
    body: suppressionLiftSchema,
    example: { ...example, note: 'address works again' },
    answers: { 200: { description: 'What was lifted.', data: listOf } },
  },
  {
    id: 'checkSuppressions',
    method: 'post',
    path: `${path}/check`,
    tag,
    summary: 'Whether up to 500 recipients are suppressed',
    description:
      'Names them by `recipients` or `user_ids`. One answer each, in their order, with the most serious reason.',
    access: ['suppressions:read'],
    body: suppressionCheckSchema,
    example: { channel: 'email', recipients: ['ann@example.com'] },
    answers: { 200: { description: 'One answer per recipient.', data: z.array(suppressionStateSchema) } },
  },
]
