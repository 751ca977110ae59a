import { SIGNING_ALGORITHMS } from '@tidings/shared/signing-keys'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { loginResultSchema } from './login-result.ts'
import { refreshSchema } from './session-routes.ts'

const sessionSchema = z
  .strictObject({
    id: z.guid(),
    /** True for the session of this request. */
    current: z.boolean(),
    /** Such as "Chrome on Windows", by the user agent. Null for an unknown one. */
    device: z.string().nullable(),
    ip: z.string().nullable(),
    user_agent: z.string().nullable(),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
  })
  .meta({ id: 'Session' })

const jwksSchema = z.object({
  keys: z.array(
    z.object({
      kty: z.enum(['OKP', 'EC']),
      crv: z.enum(['Ed25519', 'P-256']),
      x: z.string(),
      y: z.string().optional().meta({ description: 'Only of a key for ES256.' }),
      kid: z.string(),
      alg: z.enum(SIGNING_ALGORITHMS).meta({ description: 'The only algorithm of tokens with this `kid`.' }),
      use: z.literal('sig'),
    }),
  ),
})

export const sessionOperations: readonly Operation[] = [
  {
    id: 'refreshSession',
    method: 'post',
    path: '/api/v1/auth/refresh',
    tag: 'auth',
    summary: 'Exchange a refresh token for a new pair',
    description:
      'A repeat gets the same refresh token until that one is exchanged. A later repeat ends the session: two ' +
      'parties hold it.',
    access: 'public',
    body: refreshSchema,
    example: { refresh_token: 'the refresh_token of a login' },
    answers: { 200: { description: 'A new pair.', data: loginResultSchema } },
    errors: ['unauthorized', 'email_not_verified', 'rate_limited'],
  },
  {
    id: 'logOut',
    method: 'post',
    path: '/api/v1/auth/logout',
    tag: 'auth',
    summary: 'End this session',
    description: 'Its access token ends at once.',
    access: ['user'],
    answers: { 200: { description: 'Ended.', data: z.strictObject({}) } },
  },
  {
    id: 'logOutAll',
    method: 'post',
    path: '/api/v1/auth/logout-all',
    tag: 'auth',
    summary: 'End every session of the caller',
    access: ['user'],
    answers: { 200: { description: 'Ended.', data: z.strictObject({ ended_sessions: z.int() }) } },
  },
  {
    id: 'listSessions',
    method: 'get',
    path: '/api/v1/auth/sessions',
    tag: 'auth',
    summary: "The caller's sessions, most recently used first",
    access: ['user'],
    answers: { 200: { description: 'Live sessions.', data: z.array(sessionSchema) } },
  },
  {
    id: 'endSession',
    method: 'delete',
    path: '/api/v1/auth/sessions/:session_id',
    tag: 'auth',
    summary: "End one of the caller's sessions",
    description: "Its access tokens end at once. Another user's session gets 404, like an unknown id.",
    access: ['user'],
    params: { session_id: z.guid() },
    answers: { 200: { description: 'Ended.', data: z.strictObject({ id: z.guid() }) } },
  },
  {
    id: 'readSigningKeys',
    method: 'get',
    path: '/.well-known/jwks.json',
    tag: 'service',
    summary: 'Public keys that verify access tokens',
    access: 'public',
    answers: { 200: { description: 'A JWK set.', json: jwksSchema } },
  },
]
