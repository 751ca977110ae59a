import type { ErrorCode } from '@tidings/shared/errors'
import type { Scope } from '@tidings/shared/service-key'
import type { z } from 'zod'

/** The contract of one route, written beside the route. The OpenAPI document is made from these alone. */
export interface Operation {
  /** In camel case. Generated clients name their functions by it, and the schemas of body and answers. */
  id: string
  method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** In Hono's form, without the trailing slash: `/api/v1/users/:id`. */
  path: string
  tag: 'users' | 'auth' | 'status' | 'suppressions' | 'service'
  summary: string
  description?: string
  /** Allowed callers: anyone, or a holder of any credential in the list. */
  access: 'public' | readonly ('user' | Scope)[]
  /** Path parameters by name. A missing one is plain text. */
  params?: Readonly<Record<string, z.ZodType>>
  query?: z.ZodObject
  /** Request headers besides Authorization and X-Request-Id: name and purpose. */
  headers?: Readonly<Record<string, string>>
  /** Schema of the JSON body. */
  body?: z.ZodType
  /** The route also works without a body. */
  isBodyOptional?: true
  /** A body that the route accepts. The reference fills it in. */
  example?: unknown
  /** Successful answers by status. */
  answers: Readonly<Record<number, Answer>>
  /** Errors besides those that follow from access and body. */
  errors?: readonly ErrorCode[]
}

/**
 * `data` is sent in the success envelope, and `list` too, with `meta`: of a page, unless the answer has its own. `json`
 * and `other` are sent as they are, and `lines` is the schema of each line of NDJSON.
 */
export type Answer = { description: string; headers?: Readonly<Record<string, string>> } & (
  | { data: z.ZodType }
  | { list: z.ZodType; meta?: z.ZodType }
  | { json: z.ZodType }
  | { lines: z.ZodType }
  | { other: string }
  | { empty: true }
)
