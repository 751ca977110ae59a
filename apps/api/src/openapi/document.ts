import type { ErrorCode } from '@tidings/shared/errors'
import { SCOPES } from '@tidings/shared/service-key'
import { z } from 'zod'
import { PROBLEM_CONTENT_TYPE, problemSchema, statusOf } from '../http/problem.ts'
import { pageMetaSchema } from '../http/respond.ts'
import type { Answer, Operation } from './operation.ts'

type JsonObject = Record<string, unknown>

export interface OpenApiDocument {
  openapi: '3.1.1'
  info: JsonObject
  tags: JsonObject[]
  paths: Record<string, Record<string, JsonObject>>
  components: JsonObject
}

const TAGS = [
  { name: 'users', description: 'Register, read, change and erase users.' },
  { name: 'auth', description: 'Sessions and tokens.' },
  { name: 'status', description: 'Report and read the outcome of notifications.' },
  { name: 'service', description: 'Health, keys and this document.' },
]

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
  const paths: OpenApiDocument['paths'] = {}
  for (const operation of operations) {
    const path = documentedPath(operation.path)
    paths[path] = { ...paths[path], [operation.method]: describeOperation(operation) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Tidings',
      version: '1',
      description:
        'Users and the outcome of their notifications. Every path works with and without its trailing slash. ' +
        'Failures are RFC 9457 problems that also carry the envelope of earlier clients.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: TAGS,
    paths,
    components: {
      schemas: { Problem: toJsonSchema(problemSchema, 'output') },
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

function describeOperation(operation: Operation): JsonObject {
  const scopes = operation.access === 'public' ? [] : operation.access.filter((who) => who !== 'user')
  const description = [operation.description, scopes.length > 0 && `Scope: ${scopes.join(', ')}.`]
  return {
    operationId: operationId(operation),
    tags: [operation.tag],
    summary: operation.summary,
    description: description.filter(Boolean).join(' ') || undefined,
    security: securityOf(operation),
    parameters: parametersOf(operation),
    requestBody: operation.body && {
      required: !operation.isBodyOptional,
      content: { 'application/json': { schema: toJsonSchema(operation.body, 'input') } },
    },
    responses: { ...answersOf(operation), ...failuresOf(operation) },
  }
}

function operationId({ method, path }: Operation): string {
  const words = path.split(/[^A-Za-z]+/).filter((word) => word !== '' && word !== 'api' && word !== 'v')
  return [method, ...words].join('_')
}

function securityOf({ access }: Operation): JsonObject[] {
  if (access === 'public') return []
  return [
    ...(access.includes('user') ? [{ user: [] }] : []),
    ...(access.some((who) => who !== 'user') ? [{ service: [] }] : []),
  ]
}

function parametersOf({ path, params = {}, query, headers = {} }: Operation): JsonObject[] {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: toJsonSchema(params[name] ?? z.string(), 'input'),
  }))
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: toJsonSchema(schema as z.ZodType, 'input'),
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

function answersOf({ answers }: Operation): JsonObject {
  return Object.fromEntries(
    Object.entries(answers).map(([status, answer]) => [
      status,
      {
        description: answer.description,
        headers: answer.headers && describeHeaders(answer.headers),
        content: contentOf(answer),
      },
    ]),
  )
}

const describeHeaders = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]),
  )

function contentOf(answer: Answer): JsonObject | undefined {
  if ('empty' in answer) return undefined
  if ('other' in answer) return { [answer.other]: { schema: { type: 'string' } } }
  if ('json' in answer) return { 'application/json': { schema: toJsonSchema(answer.json, 'output') } }
  const envelope = { success: z.literal(true), message: z.string() }
  const schema =
    'list' in answer
      ? z.strictObject({ ...envelope, data: z.array(answer.list), meta: pageMetaSchema })
      : z.strictObject({ ...envelope, data: answer.data })
  return { 'application/json': { schema: toJsonSchema(schema, 'output') } }
}

function failuresOf(operation: Operation): JsonObject {
  const codes = new Set<ErrorCode>([
    ...(operation.errors ?? []),
    ...(operation.body ? BODY_ERRORS : []),
    ...(operation.query ? (['validation_failed'] as const) : []),
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

/** Leaves out checks that JSON Schema cannot express: the zod schemas still apply them. */
function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return json
}
