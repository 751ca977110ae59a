import {
  credentialsSchema,
  deliverabilitySchema,
  passwordChangeSchema,
  pushTokenUpdateSchema,
  registrationSchema,
  userSchema,
  userUpdateSchema,
} from '@tidings/shared/user'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { preferencesBatchSchema, userListQuerySchema } from './user-routes.ts'

/** What registering, logging in and refreshing give. `expires_in` is in seconds. */
export const loginResultSchema = z.strictObject({
  user: userSchema,
  token: z.string(),
  refresh_token: z.string(),
  expires_in: z.int(),
})

const params = { id: z.union([z.guid(), z.literal('me')]) }
const onlyUuid = { id: z.guid() }

export const userOperations: readonly Operation[] = [
  {
    method: 'post',
    path: '/api/v1/users',
    tag: 'users',
    summary: 'Register',
    description: 'The password must not be common, nor the name or address.',
    access: 'public',
    body: registrationSchema,
    answers: { 201: { description: 'Registered and logged in.', data: loginResultSchema } },
    errors: ['email_taken', 'rate_limited', 'overloaded'],
  },
  {
    method: 'post',
    path: '/api/v1/users/login',
    tag: 'users',
    summary: 'Log in',
    access: 'public',
    body: credentialsSchema,
    answers: { 200: { description: 'Logged in.', data: loginResultSchema } },
    errors: ['invalid_credentials', 'rate_limited', 'overloaded'],
  },
  {
    method: 'get',
    path: '/api/v1/users',
    tag: 'users',
    summary: 'List users, newest first',
    access: ['users:read'],
    query: userListQuerySchema,
    answers: { 200: { description: 'A page of users.', list: userSchema } },
  },
  {
    method: 'get',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Read a user',
    description: "`me` is the caller. Another user's id is as absent as one that never was.",
    access: ['user', 'users:read'],
    params,
    headers: { 'If-None-Match': 'The ETag of a former answer: 304 while it still holds.' },
    answers: {
      200: { description: 'The user.', data: userSchema, headers: { ETag: 'Of this answer.' } },
      304: { description: 'The former answer still holds.', empty: true },
    },
  },
  {
    method: 'patch',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Change name, push token or preferences',
    access: ['user'],
    params,
    body: userUpdateSchema,
    answers: { 200: { description: 'The user as it is now.', data: userSchema } },
  },
  {
    method: 'patch',
    path: '/api/v1/users/:id/update_push_token',
    tag: 'users',
    summary: 'Set or clear the push token',
    access: ['user'],
    params,
    body: pushTokenUpdateSchema,
    answers: { 200: { description: 'The user as it is now.', data: userSchema } },
  },
  {
    method: 'post',
    path: '/api/v1/users/:id/password',
    tag: 'users',
    summary: 'Change the password',
    description: 'Ends every other session at once.',
    access: ['user'],
    params,
    body: passwordChangeSchema,
    answers: {
      200: { description: 'Changed.', data: z.strictObject({ ended_sessions: z.int() }) },
    },
    errors: ['conflict', 'rate_limited', 'overloaded'],
  },
  {
    method: 'delete',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Erase the account',
    description: 'Events reported for the user stay, without owner, error text and metadata.',
    access: ['user'],
    params,
    answers: { 200: { description: 'Erased.', data: z.strictObject({ id: z.guid() }) } },
  },
  {
    method: 'get',
    path: '/api/v1/users/:id/preferences',
    tag: 'users',
    summary: 'Whether to send to a user',
    description: 'What the user chose, and whether a channel reaches them, with the reason when it does not.',
    access: ['users:read'],
    params: onlyUuid,
    answers: { 200: { description: 'Choice and deliverability.', data: deliverabilitySchema } },
  },
  {
    method: 'post',
    path: '/api/v1/users/preferences/batch',
    tag: 'users',
    summary: 'The same for up to 500 users',
    description: 'One answer per distinct id, in their order; an unknown user is not deliverable.',
    access: ['users:read'],
    body: preferencesBatchSchema,
    answers: { 200: { description: 'One answer per id.', data: z.array(deliverabilitySchema) } },
  },
]
