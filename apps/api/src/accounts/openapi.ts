import { exportLineSchema } from '@tidings/accounts/export-user'
import {
  credentialsSchema,
  erasureSchema,
  passwordChangeSchema,
  registrationSchema,
} from '@tidings/shared/user'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { loginResultSchema } from '../sessions/login-result.ts'
import { pathUserSchema } from '../users/path-user.ts'

const params = { id: pathUserSchema }

const EXAMPLE_EMAIL = 'ada@example.com'
const EXAMPLE_PASSWORD = 'a long passphrase of several words'

export const accountOperations: readonly Operation[] = [
  {
    id: 'registerUser',
    method: 'post',
    path: '/api/v1/users',
    tag: 'users',
    summary: 'Register',
    description:
      'The password must not be common or repetitive, and must not be made of the name or the address.',
    access: 'public',
    body: registrationSchema,
    example: {
      name: 'Ada Lovelace',
      email: EXAMPLE_EMAIL,
      password: EXAMPLE_PASSWORD,
      preferences: { email: true, push: false },
    },
    answers: { 201: { description: 'Registered and logged in.', data: loginResultSchema } },
    errors: ['email_taken', 'rate_limited', 'overloaded'],
  },
  {
    id: 'logIn',
    method: 'post',
    path: '/api/v1/users/login',
    tag: 'users',
    summary: 'Log in',
    access: 'public',
    body: credentialsSchema,
    example: { email: EXAMPLE_EMAIL, password: EXAMPLE_PASSWORD },
    answers: { 200: { description: 'Logged in.', data: loginResultSchema } },
    errors: ['invalid_credentials', 'email_not_verified', 'rate_limited', 'overloaded'],
  },
  {
    id: 'changePassword',
    method: 'post',
    path: '/api/v1/users/:id/password',
    tag: 'users',
    summary: 'Change the password',
    description: 'Ends every other session at once.',
    access: ['user'],
    params,
    body: passwordChangeSchema,
    example: { current_password: EXAMPLE_PASSWORD, new_password: 'another long passphrase' },
    answers: {
      200: { description: 'Changed.', data: z.strictObject({ ended_sessions: z.int() }) },
    },
    errors: ['conflict', 'rate_limited', 'overloaded'],
  },
  {
    id: 'exportUser',
    method: 'get',
    path: '/api/v1/users/:id/export',
    tag: 'users',
    summary: 'Export everything that is held about the caller',
    description:
      'NDJSON: one object a line, the newest events first. The last line has the type `end` and the number of lines of ' +
      'each type. Without it the export is incomplete: ask again. It holds no password and no secret of a link or session.',
    access: ['user'],
    params,
    answers: { 200: { description: 'One object a line.', lines: exportLineSchema } },
    errors: ['reauthentication_required', 'rate_limited', 'overloaded'],
  },
  {
    id: 'eraseUser',
    method: 'delete',
    path: '/api/v1/users/:id',
    tag: 'users',
    summary: 'Erase the account',
    description:
      'Needs the password, or a login within the last five minutes. ' +
      'Events that were reported for the user stay, without their owner, error text and metadata.',
    access: ['user'],
    params,
    body: erasureSchema,
    isBodyOptional: true,
    example: { password: EXAMPLE_PASSWORD },
    answers: { 200: { description: 'Erased.', data: z.strictObject({ id: z.guid() }) } },
    errors: ['reauthentication_required', 'rate_limited', 'overloaded'],
  },
]
