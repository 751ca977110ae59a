import fc from 'fast-check'
import type { OpenApiDocument } from '../../openapi/document.ts'
import { anyJson, arbitraryOf, type JsonSchema } from './arbitrary-json.ts'

/** Kinds of credentials. The test has the tokens. */
export type Credential = 'none' | 'key' | 'narrow-key' | 'user' | 'unknown-key' | 'garbage' | 'basic'

/** One request. */
export interface FuzzRequest {
  method: string
  /** Path and query, possibly badly encoded. */
  path: string
  credential: Credential
  headers: Record<string, string>
  body: string | Uint8Array | undefined
}

interface DocumentedOperation {
  parameters: { name: string; in: string; schema: JsonSchema }[]
  requestBody?: { content: { 'application/json': { schema: JsonSchema } } }
}

const UNUSUAL_SEGMENTS = [
  '%00',
  '%zz',
  '%C0%AF',
  '%2e%2e',
  '..%2f',
  '{x}',
  '%F0%9F%98%80',
  '%20',
  'x'.repeat(300),
  '-1',
]
const UNUSUAL_TYPES = [
  'text/plain',
  'application/x-www-form-urlencoded',
  'application/json; charset=utf-8',
  'image/png',
  '',
]
const RAW_BODIES = [
  '',
  ' ',
  '{',
  'null',
  '[]',
  '"x"',
  '{"a":1e400}',
  '{"__proto__":{}}',
  '\uFEFF{}',
  '{"a":"\\u0000"}',
]

/** Requests to every operation of the document: mostly valid, with any part sometimes invalid. */
export function arbitraryRequest(
  document: OpenApiDocument,
  userIds: readonly string[],
): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      template,
      method: method.toUpperCase(),
      operation: resolveReferences(document, operation) as DocumentedOperation,
    })),
  )
  return fc.oneof(
    ...operations.map(({ template, method, operation }) => requestTo(template, method, operation, userIds)),
  )
}

/** Replaces every reference to a component with the component. */
function resolveReferences({ components }: Pick<OpenApiDocument, 'components'>, value: unknown): unknown {
  const { schemas } = components as { schemas: Record<string, unknown> }
  return JSON.parse(JSON.stringify(value), (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null || !('$ref' in member)) return member
    const name = String(member.$ref).replace('#/components/schemas/', '')
    return resolveReferences({ components }, schemas[name])
  })
}

function requestTo(
  template: string,
  method: string,
  operation: DocumentedOperation,
  userIds: readonly string[],
): fc.Arbitrary<FuzzRequest> {
  const inPath = operation.parameters.filter((parameter) => parameter.in === 'path')
  const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query')
  const schema = operation.requestBody?.content['application/json'].schema
  return fc.record({
    method: mostly(
      fc.constant(method),
      fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'),
    ),
    path: fc
      .tuple(
        fc.tuple(...inPath.map(({ name, schema }) => pathSegment(name, schema, userIds))),
        fc.record(
          Object.fromEntries(
            inQuery.map(({ name, schema }) => [name, mostly(queryValue(schema), fc.string())]),
          ),
          { requiredKeys: [] },
        ),
        fc.boolean(),
      )
      .map(([segments, query, slash]) => {
        const path = inPath.reduce(
          (text, { name }, i) => text.replace(`{${name}}`, segments[i] ?? ''),
          template,
        )
        const search = new URLSearchParams(query as Record<string, string>).toString()
        return `${slash ? path : path.replace(/(?<=.)\/$/, '')}${search === '' ? '' : `?${search}`}`
      }),
    credential: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom<Credential>('key', 'user') },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Credential>('none', 'narrow-key', 'unknown-key', 'garbage', 'basic'),
      },
    ),
    headers: fc.record(
      {
        'content-type': mostly(fc.constant('application/json'), fc.constantFrom(...UNUSUAL_TYPES)),
        'content-encoding': mostly(fc.constant('identity'), fc.constantFrom('gzip', 'br')),
        'idempotency-key': fc.stringMatching(/^[ -~]{1,140}$/),
        'x-request-id': fc.stringMatching(/^[ -~]{1,140}$/),
        'if-none-match': fc.constantFrom('*', '"x"', 'W/"x", "y"'),
        'x-forwarded-for': fc.ipV4(),
      },
      { requiredKeys: ['content-type'] },
    ),
    body: bodyOf(schema),
  })
}

function bodyOf(schema: JsonSchema | undefined): fc.Arbitrary<string | Uint8Array | undefined> {
  const raw = fc.oneof(fc.constantFrom(...RAW_BODIES), fc.string(), fc.uint8Array({ maxLength: 200 }))
  if (schema === undefined) return mostly(fc.constant(undefined), raw)
  const written = mostly(arbitraryOf(schema), anyJson).map((value) => JSON.stringify(value))
  return fc.oneof(
    { weight: 8, arbitrary: written },
    { weight: 1, arbitrary: raw },
    { weight: 1, arbitrary: fc.constant(undefined) },
  )
}

function pathSegment(name: string, schema: JsonSchema, userIds: readonly string[]): fc.Arbitrary<string> {
  const plausible =
    name === 'id'
      ? fc.constantFrom('me', ...userIds, '00000000-0000-4000-8000-000000000000')
      : arbitraryOf(schema)
  return mostly(
    plausible.map((value) => encodeURIComponent(textOf(value).toWellFormed()) || 'empty'),
    fc.constantFrom(...UNUSUAL_SEGMENTS),
  )
}

const queryValue = (schema: JsonSchema) => arbitraryOf(schema).map(textOf)

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

function mostly<T>(usual: fc.Arbitrary<T>, unusual: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: unusual })
}
