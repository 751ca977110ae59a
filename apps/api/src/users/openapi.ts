import {
  deliverabilitySchema,
  pushTokenUpdateSchema,
  userSchema,
  userUpdateSchema,
} from '@tidings/shared/user'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { pathUserSchema } from './path-user.ts'
import { preferencesBatchSchema, preferencesQuerySchema, userListQuerySchema } from './user-routes.ts'

const params = { id: pathUserSchema }
const uuidParams = { id: z.guid() }

export const userOperations: readonly Operation[] = [
  {
    id: 'listUsers',
    method: 'get',
    path: '/api/v1/users',
    tag: 'users',
    summary: 'List users, newest first',
    access: ['users:read'],
    query: userListQuerySchema,
    answers: { 200: { description: 'A page of users.', list: userSchema } },
  },
  {
    id: 'readUser',
    method: 'get',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Read a user',
    description: "`me` is the caller. Another user's id gets 404, like an unknown id.",
    access: ['user', 'users:read'],
    params,
    headers: { 'If-None-Match': 'The ETag of an earlier answer: 304 while it is current.' },
    answers: {
      200: { description: 'The user.', data: userSchema, headers: { ETag: 'Entity tag of this answer.' } },
      304: { description: 'The earlier answer is current.', empty: true },
    },
  },
  {
    id: 'updateUser',
    method: 'patch',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Change name, push token or preferences',
    access: ['user'],
    params,
    body: userUpdateSchema,
    example: { name: 'Ada King', preferences: { push: true } },
    answers: { 200: { description: 'The user as it is now.', data: userSchema } },
  },
  {
    id: 'updatePushToken',
    method: 'patch',
    path: '/api/v1/users/:id/update_push_token',
    tag: 'users',
    summary: 'Set or clear the push token',
    access: ['user'],
    params,
    body: pushTokenUpdateSchema,
    example: { push_token: 'fcm-token' },
    answers: { 200: { description: 'The user as it is now.', data: userSchema } },
  },
  {
    id: 'readPreferences',
    method: 'get',
    path: '/api/v1/users/:id/preferences',
    tag: 'users',
    summary: 'Whether to send to a user',
    description:
      'What the user chose, whether each channel reaches them, and the reason if it does not. ' +
      '`category` is that of the message.',
    access: ['users:read'],
    params: uuidParams,
    query: preferencesQuerySchema,
    answers: { 200: { description: 'Choice and deliverability.', data: deliverabilitySchema } },
  },
  {
    id: 'readPreferencesBatch',
    method: 'post',
    path: '/api/v1/users/preferences/batch',
    tag: 'users',
    summary: 'Whether to send to up to 500 users',
    description: 'One answer per distinct id, in their order. An unknown user is not deliverable.',
    access: ['users:read'],
    body: preferencesBatchSchema,
    example: { user_ids: ['018f2f6a-0000-7000-8000-000000000000'] },
    answers: { 200: { description: 'One answer per id.', data: z.array(deliverabilitySchema) } },
  },
]
