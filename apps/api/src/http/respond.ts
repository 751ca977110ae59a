import { z } from 'zod'

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' }

/** What a page of a list says beside its data. */
export const pageMetaSchema = z.strictObject({
  limit: z.int(),
  next_cursor: z.string().nullable().describe('Opaque; null on the last page.'),
  has_next: z.boolean(),
})
export type PageMeta = z.infer<typeof pageMetaSchema>

/**
 * The seed's success envelope. Built as a Response rather than with `c.json()`: plain headers let the server
 * write it in one piece, which shows at 10,000 requests a second.
 */
export function success(
  status: 200 | 201 | 202,
  message: string,
  data: unknown,
  meta?: PageMeta,
  headers?: Record<string, string>,
): Response {
  return new Response(JSON.stringify({ success: true, message, data, meta }), {
    status,
    headers: headers === undefined ? JSON_HEADERS : { ...JSON_HEADERS, ...headers },
  })
}
