import { PROBLEM_CONTENT_TYPE } from '@tidings/runtime/broken-request'
import type { ErrorCode } from '@tidings/shared/errors'
import { SCOPES } from '@tidings/shared/service-key'
import { z } from 'zod'
import { hasKnownQuery } from '../http/known-query.ts'
import { problemSchema, statusOf } from '../http/problem.ts'
import { pageMetaSchema } from '../http/respond.ts'
import type { Answer, Operation } from './operation.ts'

type JsonObject = Record<string, unknown>

export interface OpenApiDocument {
  openapi: '3.1.1'
  info: JsonObject
  servers: JsonObject[]
  tags: JsonObject[]
  paths: Record<string, Record<string, JsonObject>>
  components: JsonObject
}

const TAGS = [
  { name: 'users', description: 'Register, read, change and erase users.' },
  { name: 'auth', description: 'Sessions and tokens.' },
  { name: 'status', description: 'Report and read the outcome of notifications.' },
  { name: 'suppressions', description: 'Recipients that must not be sent to, and unsubscribing.' },
  { name: 'service', description: 'Health, keys and this document.' },
]

/** One JSON value a line. The document describes a line. */
export const NDJSON = 'application/x-ndjson'

/** Any request can get these. */
const GENERAL_ERRORS: readonly ErrorCode[] = ['not_found', 'internal_error', 'unavailable']
const ACCESS_ERRORS: readonly ErrorCode[] = ['unauthorized', 'forbidden']
const BODY_ERRORS: readonly ErrorCode[] = [
  'malformed_json',
  'invalid_encoding',
  'validation_failed',
  'payload_too_large',
  'unsupported_media_type',
]

/** Makes the OpenAPI 3.1 document. */
export function createOpenApiDocument(operations: readonly Operation[]): OpenApiDocument {
  const components = new Components()
  components.add('Problem', components.convert(problemSchema, 'output'))
  const paths: OpenApiDocument['paths'] = {}
  for (const operation of operations) {
    const path = documentedPath(operation.path)
    paths[path] = { ...paths[path], [operation.method]: describeOperation(operation, components) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Tidings',
      version: '1',
      description:
        'Users and the outcome of their notifications. Every path works with and without its trailing slash. ' +
        'GET and DELETE refuse query parameters that they do not know. ' +
        'Failures are RFC 9457 problems that also carry the envelope of earlier clients.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'The API that serves this document.' }],
    tags: TAGS,
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: {
        user: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'An access token.' },
        service: {
          type: 'http',
          scheme: 'bearer',
          description: `A service key (tdk_…) with the scope the operation names: ${SCOPES.join(', ')}.`,
        },
      },
    },
  }
}

/** Converts Hono's path to OpenAPI's form, with the trailing slash of the documented paths. */
export function documentedPath(path: string): string {
  const named = path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}')
  return path.startsWith('/api/') ? `${named}/` : named
}

function describeOperation(operation: Operation, components: Components): JsonObject {
  const scopes = operation.access === 'public' ? [] : operation.access.filter((who) => who !== 'user')
  const description = [operation.description, scopes.length > 0 && `Scope: ${scopes.join(', ')}.`]
  return {
    operationId: operation.id,
    tags: [operation.tag],
    summary: operation.summary,
    description: description.filter(Boolean).join(' ') || undefined,
    security: securityOf(operation),
    parameters: parametersOf(operation, components),
    requestBody: operation.body && {
      required: !operation.isBodyOptional,
      content: {
        'application/json': {
          schema: components.name(`${schemaName(operation)}Body`, operation.body, 'input'),
          example: operation.example,
        },
      },
    },
    responses: responsesOf(answersOf(operation, components), failuresOf(operation)),
  }
}

const schemaName = ({ id }: Operation) => id.slice(0, 1).toUpperCase() + id.slice(1)

function securityOf({ access }: Operation): JsonObject[] {
  if (access === 'public') return []
  return [
    ...(access.includes('user') ? [{ user: [] }] : []),
    ...(access.some((who) => who !== 'user') ? [{ service: [] }] : []),
  ]
}

function parametersOf(
  { path, params = {}, query, headers = {} }: Operation,
  components: Components,
): JsonObject[] {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: components.convert(params[name] ?? z.string(), 'input'),
  }))
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: components.convert(schema as z.ZodType, 'input'),
  }))
  const inHeader = Object.entries(headers).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }))
  return [...inPath, ...inQuery, ...inHeader]
}

function answersOf(operation: Operation, components: Components): Record<string, ResponseObject> {
  return Object.fromEntries(
    Object.entries(operation.answers).map(([status, answer]) => [
      status,
      {
        description: answer.description,
        headers: answer.headers && describeHeaders(answer.headers),
        content: contentOf(answer, `${schemaName(operation)}Answer`, components),
      },
    ]),
  )
}

/** An answer may share its status with a problem: the page of a route says 404 too. */
function responsesOf(answers: Record<string, ResponseObject>, failures: Record<string, ResponseObject>) {
  const shared = Object.entries(failures).map(([status, failure]) => {
    const answer = answers[status]
    if (answer === undefined) return [status, failure]
    return [status, { ...answer, content: { ...answer.content, ...failure.content } }]
  })
  return { ...answers, ...Object.fromEntries(shared) }
}

interface ResponseObject {
  description: string
  content?: JsonObject | undefined
}

const describeHeaders = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]),
  )

function contentOf(answer: Answer, name: string, components: Components): JsonObject | undefined {
  if ('empty' in answer) return undefined
  if ('other' in answer) return { [answer.other]: { schema: { type: 'string' } } }
  if ('lines' in answer) return { [NDJSON]: { schema: components.name(name, answer.lines, 'output') } }
  if ('json' in answer)
    return { 'application/json': { schema: components.name(name, answer.json, 'output') } }
  const envelope = { success: z.literal(true), message: z.string() }
  const schema =
    'list' in answer
      ? z.strictObject({ ...envelope, data: z.array(answer.list), meta: answer.meta ?? pageMetaSchema })
      : z.strictObject({ ...envelope, data: answer.data })
  return { 'application/json': { schema: components.name(name, schema, 'output') } }
}

function failuresOf(operation: Operation): Record<string, ResponseObject> {
  const codes = new Set<ErrorCode>([
    ...(operation.errors ?? []),
    ...(operation.body ? BODY_ERRORS : []),
    ...(hasKnownQuery(operation.method.toUpperCase(), operation.path)
      ? (['validation_failed'] as const)
      : []),
    ...(operation.access === 'public' ? [] : ACCESS_ERRORS),
    ...GENERAL_ERRORS,
  ])
  const byStatus = Map.groupBy(codes, statusOf)
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [
      status,
      {
        description: names.join(', '),
        content: { [PROBLEM_CONTENT_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}

/** The named schemas of a document. Generated clients make a type of each. */
class Components {
  readonly schemas: Record<string, JsonObject> = {}

  /**
   * Converts a schema, and moves those in it that have an `id` (zod's `meta`) into the components. Leaves out checks
   * that JSON Schema cannot express: the zod schemas still apply them.
   */
  convert(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
    const converted = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
    const { $schema: _dialect, $defs = {}, ...json } = pointToComponents(converted)
    for (const [name, definition] of Object.entries($defs as Record<string, JsonObject>))
      this.add(name, definition)
    return json
  }

  /** Converts a schema, and refers to it by its own `id`, or by `name`. */
  name(name: string, schema: z.ZodType, io: 'input' | 'output'): JsonObject {
    const json = this.convert(schema, io)
    return '$ref' in json ? json : this.add(name, json)
  }

  /** @throws Error when another schema has the name: an `id` is used twice, or for a body and an answer that differ. */
  add(name: string, schema: JsonObject): JsonObject {
    const known = this.schemas[name]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(schema))
      throw new Error(`Two schemas have the name ${name}`)
    this.schemas[name] = schema
    return { $ref: `${COMPONENTS}${name}` }
  }
}

const COMPONENTS = '#/components/schemas/'

const pointToComponents = (schema: object): JsonObject =>
  JSON.parse(JSON.stringify(schema).replaceAll('"$ref":"#/$defs/', `"$ref":"${COMPONENTS}`))
