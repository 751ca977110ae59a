import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { AppError } from '@tidings/shared/errors'
import { isLargeJson } from '@tidings/shared/json'
import { omit, parseValue } from '@tidings/shared/parse-value'
import type { z } from 'zod'
import type { ApiContext } from './context.ts'

/** Largest body of a request for one object, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024
/** Largest body of a batch, in bytes. */
export const MAX_BATCH_BODY_BYTES = 1024 * 1024

export interface ReadJsonOptions {
  maxBytes?: number
  /**
   * The name of a member that only the schema checks: the route refuses its content in its own way, such as item by
   * item. All other members together have at most MAX_BODY_BYTES.
   */
  uncheckedMember?: string
}

/**
 * Reads the body and checks content type, encoding, size, UTF-8, JSON and schema, in this order. Reads Node's stream
 * directly, because a Fetch body costs several objects and copies per request.
 *
 * @throws AppError `unsupported_media_type`, `payload_too_large`, `invalid_encoding`, `malformed_json`, or an error of
 *   parseValue.
 */
export async function readJson<Schema extends z.ZodType>(
  c: ApiContext,
  schema: Schema,
  { maxBytes = MAX_BODY_BYTES, uncheckedMember }: ReadJsonOptions = {},
): Promise<z.output<Schema>> {
  const { incoming } = c.env
  checkMediaType(incoming)
  const body = await readBody(incoming, maxBytes)
  const value = parseJson(body)
  if (uncheckedMember !== undefined && isLargeJson(omit(uncheckedMember, value), MAX_BODY_BYTES))
    throw new AppError('payload_too_large', `The body is too large beside \`${uncheckedMember}\`.`)
  return parseValue(schema, value, uncheckedMember)
}

/** Like readJson, for a route that works without a body: undefined when there is none. */
export async function readOptionalJson<Schema extends z.ZodType>(
  c: ApiContext,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const { headers } = c.env.incoming
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return hasBody ? readJson(c, schema) : undefined
}

// curl sends the form type by default, and the Django service's README relies on that.
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i
export const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i

function checkMediaType({ headers }: IncomingMessage): void {
  const type = headers['content-type']
  const known =
    type === undefined || type === 'application/json' || JSON_TYPE.test(type) || FORM_TYPE.test(type)
  if (!known) throw new AppError('unsupported_media_type', 'Send JSON, as application/json.')
  refuseCompression(headers)
}

/** @throws AppError `unsupported_media_type` */
export function refuseCompression(headers: IncomingHttpHeaders): void {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without compression.')
  }
}

/** @throws AppError `payload_too_large`; `malformed_json` when the body ended early. */
export function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge(maxBytes))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    // The listeners stay: removing them costs more than keeping them for the rest of the request. Settling a promise
    // twice has no effect, so 'close' matters only without an 'end' before it.
    incoming
      .on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= maxBytes) chunks.push(chunk)
        else reject(tooLarge(maxBytes))
      })
      .on('end', () => {
        if (size > maxBytes) return
        const [first] = chunks
        resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size))
      })
      .on('close', () => {
        if (!incoming.readableEnded) reject(endedEarly())
      })
    if (incoming.destroyed) reject(endedEarly())
  })
}

const endedEarly = () => new AppError('malformed_json', 'The body ended early.')

const tooLarge = (maxBytes: number) =>
  new AppError('payload_too_large', `The body is larger than ${maxBytes} bytes.`)

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) throw new AppError('invalid_encoding', 'The body is not valid UTF-8.')
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    // Not the parser's message: it quotes the body.
    const message = body.length === 0 ? 'A JSON body is required.' : 'The body is not valid JSON.'
    throw new AppError('malformed_json', message)
  }
}
