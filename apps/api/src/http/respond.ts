import { z } from 'zod'

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' }

/** The `meta` of a page. */
export const pageMetaSchema = z
  .strictObject({
    limit: z.int(),
    next_cursor: z.string().nullable().describe('Opaque; null on the last page.'),
    has_next: z.boolean(),
  })
  .meta({ id: 'PageMeta' })
export type PageMeta = z.infer<typeof pageMetaSchema>

/**
 * Answers with the success envelope of the Django service. A plain Response, not `c.json()`: with plain headers the
 * server writes the answer in one piece, which is measurable at 10,000 requests/s.
 */
export function success(
  status: 200 | 201 | 202,
  message: string,
  data: unknown,
  meta?: object,
  headers?: Record<string, string>,
): Response {
  return new Response(JSON.stringify({ success: true, message, data, meta }), {
    status,
    headers: headers === undefined ? JSON_HEADERS : { ...JSON_HEADERS, ...headers },
  })
}
