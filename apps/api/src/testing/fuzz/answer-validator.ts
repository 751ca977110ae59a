import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { NDJSON, type OpenApiDocument } from '../../openapi/document.ts'

export interface ReceivedAnswer {
  status: number
  contentType: string | undefined
  body: string
}

/** Returns how an answer contradicts the document, or undefined. */
export type ValidateAnswer = (path: string, method: string, answer: ReceivedAnswer) => string | undefined

interface DocumentedResponse {
  content?: Record<string, unknown>
}

/** Validates status, content type and every field of answers against the document. */
export function createAnswerValidator(document: OpenApiDocument): ValidateAnswer {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'openapi')
  const validate = (pointer: string, body: unknown) => {
    const check = ajv.getSchema(`openapi#${pointer}`)
    if (check === undefined) return `no schema at ${pointer}`
    return check(body) ? undefined : ajv.errorsText(check.errors)
  }
  const problem = (body: string) => validate('/components/schemas/Problem', JSON.parse(body))

  // Literal paths take precedence over those with parameters (OpenAPI 3.1, Paths Object).
  const templates = Object.keys(document.paths)
    .sort((a, b) => a.split('{').length - b.split('{').length)
    .map((template) => ({
      template,
      pattern: new RegExp(`^${template.replace(/\/$/, '').replace(/\{\w+\}/g, '[^/]+')}/?$`),
    }))

  return (path, method, { status, contentType, body }) => {
    // As the API sees it: a URL resolves dots, also %2e.
    const plainPath = new URL(path, 'http://localhost').pathname
    const operationOf = (template: string) => document.paths[template]?.[method.toLowerCase()]
    const matches = templates.filter(({ pattern }) => pattern.test(plainPath))
    const isRefusal = status === 404 || status === 405
    // The document has no such path or method.
    if (isRefusal && !operationOf(matches[0]?.template ?? '')) return problem(body)
    // A path with a parameter may answer a method that the literal path lacks: GET of a notification named "lookup".
    const template = matches.find((match) => operationOf(match.template))?.template ?? ''
    const operation = operationOf(template)
    if (operation === undefined) return `${status} is not expected`
    const response = (operation.responses as Record<string, DocumentedResponse>)[status]
    if (response === undefined) return `status ${status} is not documented`
    const type = contentType?.split(';')[0] ?? ''
    const documentedTypes = Object.keys(response.content ?? {})
    if (documentedTypes.length === 0) return body === '' ? undefined : 'a body is not documented'
    if (!documentedTypes.includes(type)) return `content type ${type} is not documented for ${status}`
    if (!type.endsWith('json')) return undefined
    const pointer = [
      'paths',
      template,
      method.toLowerCase(),
      'responses',
      String(status),
      'content',
      type,
      'schema',
    ]
      .map((segment) => encodeURIComponent(segment.replaceAll('~', '~0').replaceAll('/', '~1')))
      .join('/')
    const values = type === NDJSON ? body.trimEnd().split('\n') : [body]
    return values
      .map((text) => validate(`/${pointer}`, JSON.parse(text)))
      .find((fault) => fault !== undefined)
  }
}
