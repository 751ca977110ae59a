import { AppError } from '@tidings/shared/errors'
import type { ApiContext } from './context.ts'
import { FORM_TYPE, readBody, refuseCompression } from './read-json.ts'

/** Largest body of a form, in bytes: a password of 1,024 characters, each written as up to 12 bytes, and a token. */
const MAX_FORM_BYTES = 16 * 1024

/**
 * Reads the fields of a form that a browser posts. A field that is given twice has its first value.
 *
 * @throws AppError `unsupported_media_type`, `payload_too_large`.
 */
export async function readForm(c: ApiContext): Promise<URLSearchParams> {
  const { incoming } = c.env
  if (!FORM_TYPE.test(incoming.headers['content-type'] ?? ''))
    throw new AppError('unsupported_media_type', 'Send the form as application/x-www-form-urlencoded.')
  refuseCompression(incoming.headers)
  return new URLSearchParams((await readBody(incoming, MAX_FORM_BYTES)).toString('utf8'))
}
