import type { ErrorCode } from '@tidings/shared/errors'
import type { Scope } from '@tidings/shared/service-key'
import type { z } from 'zod'

/** What one route promises, written beside the route. The OpenAPI document is made of these alone. */
export interface Operation {
  method: 'get' | 'post' | 'patch' | 'delete'
  /** As in Hono, without the trailing slash: `/api/v1/users/:id`. */
  path: string
  tag: 'users' | 'auth' | 'status' | 'service'
  summary: string
  description?: string
  /** Who may call it; `public` needs no credential. A list is a choice. */
  access: 'public' | readonly ('user' | Scope)[]
  /** Path parameters, by name; those left out are plain text. */
  params?: Readonly<Record<string, z.ZodType>>
  query?: z.ZodObject
  /** Request headers beside Authorization and X-Request-Id: name and what it is for. */
  headers?: Readonly<Record<string, string>>
  /** Schema of the JSON body. */
  body?: z.ZodType
  /** Answers that are not failures, by status. */
  answers: Readonly<Record<number, Answer>>
  /** Failures beside those that follow from access and body. */
  errors?: readonly ErrorCode[]
}

/** `data` is wrapped in the success envelope, `list` too and with `meta`; `json` and `other` come as they are. */
export type Answer = { description: string; headers?: Readonly<Record<string, string>> } & (
  | { data: z.ZodType }
  | { list: z.ZodType }
  | { json: z.ZodType }
  | { other: string }
  | { empty: true }
)
