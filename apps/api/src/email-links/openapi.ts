import {
  emailChangeSchema,
  passwordResetRequestSchema,
  passwordResetSchema,
  tokenUseSchema,
} from '@tidings/shared/email-links'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { pathUserSchema } from '../users/path-user.ts'

const nothing = z.strictObject({}).meta({ id: 'Nothing' })
const tokenUse = tokenUseSchema.meta({ id: 'TokenUse' })

const EXAMPLE_TOKEN = 'the token of the link'

export const emailLinkOperations: readonly Operation[] = [
  {
    id: 'requestPasswordReset',
    method: 'post',
    path: '/api/v1/auth/password-reset',
    tag: 'auth',
    summary: 'Send a link that sets a new password',
    description:
      'The answer is the same for every address. At most one message a minute is sent to an account. The link works for an hour.',
    access: 'public',
    body: passwordResetRequestSchema,
    example: { email: 'ada@example.com' },
    answers: { 202: { description: 'A message is sent if an account has the address.', data: nothing } },
    errors: ['rate_limited'],
  },
  {
    id: 'resetPassword',
    method: 'post',
    path: '/api/v1/auth/password-reset/confirm',
    tag: 'auth',
    summary: 'Set a new password with the token of a link',
    description:
      'Ends every session. Also verifies the address. The token works once; a weak password does not use it up.',
    access: 'public',
    body: passwordResetSchema,
    example: { token: EXAMPLE_TOKEN, password: 'another long passphrase' },
    answers: { 200: { description: 'Changed.', data: nothing } },
    errors: ['invalid_token', 'rate_limited', 'overloaded'],
  },
  {
    id: 'requestEmailVerification',
    method: 'post',
    path: '/api/v1/auth/email-verification',
    tag: 'auth',
    summary: 'Send the link that verifies the address again',
    description: 'Registering sends the first. Nothing is sent to a verified address, or within a minute.',
    access: ['user'],
    answers: { 202: { description: 'A message is sent unless the address is verified.', data: nothing } },
  },
  {
    id: 'verifyEmail',
    method: 'post',
    path: '/api/v1/auth/email-verification/confirm',
    tag: 'auth',
    summary: 'Verify the address with the token of a link',
    access: 'public',
    body: tokenUse,
    example: { token: EXAMPLE_TOKEN },
    answers: { 200: { description: 'Verified.', data: nothing } },
    errors: ['invalid_token'],
  },
  {
    id: 'requestEmailChange',
    method: 'post',
    path: '/api/v1/users/:id/email',
    tag: 'users',
    summary: 'Change the e-mail address',
    description:
      'Sends a link to the new address, which confirms the change. Needs the password, or a login within the last five ' +
      'minutes. A later request makes the link void. The answer does not tell whether another account has the address.',
    access: ['user'],
    params: { id: pathUserSchema },
    body: emailChangeSchema,
    example: { email: 'ada.lovelace@example.com' },
    answers: { 202: { description: 'The address changes when it is confirmed.', data: nothing } },
    errors: ['reauthentication_required', 'conflict', 'rate_limited', 'overloaded'],
  },
  {
    id: 'confirmEmailChange',
    method: 'post',
    path: '/api/v1/auth/email-change/confirm',
    tag: 'auth',
    summary: 'Confirm a new address with the token of a link',
    description: 'Sends the earlier address a link that undoes the change within 72 hours.',
    access: 'public',
    body: tokenUse,
    example: { token: EXAMPLE_TOKEN },
    answers: { 200: { description: 'Changed.', data: nothing } },
    errors: ['invalid_token', 'email_taken'],
  },
  {
    id: 'undoEmailChange',
    method: 'post',
    path: '/api/v1/auth/email-change/undo',
    tag: 'auth',
    summary: 'Restore the earlier address with the token of a link',
    description: 'Ends every session. The password stays: let the user reset it next.',
    access: 'public',
    body: tokenUse,
    example: { token: EXAMPLE_TOKEN },
    answers: { 200: { description: 'Restored.', data: nothing } },
    errors: ['invalid_token', 'email_taken'],
  },
]
