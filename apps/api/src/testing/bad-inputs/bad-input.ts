import { TEST_PASSWORD } from '../http.ts'

/** Stands for the caller's own values: no answer may repeat it. */
export const CANARY = 'canary-4711'
export const ABSENT_ID = '00000000-0000-4000-8000-000000000000'
export const STATUS_PATH = '/api/v1/email/status/'
export const BATCH_PATH = '/api/v1/email/status/batch/'
export const USERS_PATH = '/api/v1/users/'

/** A service key with `status:write:email`, `users:read` and `stats:read`, a user's token, or nothing. */
export type Credential = 'key' | 'user' | 'none'

/** A request that the API must refuse. */
export interface BadInput {
  name: string
  /** POST when absent. */
  method?: string
  /** STATUS_PATH when absent. */
  path?: string
  /** `key` when absent. */
  credential?: Credential
  headers?: Record<string, string>
  /** Text or bytes as they are, anything else as JSON; no body when absent. */
  body?: unknown
  status: number
  error: string
  /** A pointer that `errors` must contain. */
  pointer?: string
  /** Text that the answer must contain. */
  reason?: string
}

export const INVALID = { status: 400, error: 'validation_failed' } as const

export const event = (fields: object) => ({ notification_id: CANARY, status: 'sent', ...fields })

export const person = (fields: object) => ({
  name: CANARY,
  email: 'someone@example.com',
  password: TEST_PASSWORD,
  ...fields,
})
