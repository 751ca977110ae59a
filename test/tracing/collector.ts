import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { Releaser } from '@tidings/stack/releaser'
import { z } from 'zod'

const attributeSchema = z.object({
  key: z.string(),
  value: z
    .object({ stringValue: z.string() })
    .or(z.object({ intValue: z.number() }))
    .or(z.looseObject({})),
})
const linkSchema = z.object({ traceId: z.string(), spanId: z.string() })
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.int(),
  attributes: z.array(attributeSchema),
  links: z.array(linkSchema).default([]),
})
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attributeSchema) }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
})

export interface CollectedSpan extends Omit<z.infer<typeof spanSchema>, 'attributes'> {
  service: unknown
  attributes: Record<string, unknown>
}

export interface Collector {
  /** Base URL, for OTEL_EXPORTER_OTLP_ENDPOINT. */
  url: string
  spans: CollectedSpan[]
  /** The text of every request. */
  received(): string
}

/** Starts a small OTLP/HTTP collector that accepts JSON and keeps the spans. */
export async function startCollector(releaser: Releaser): Promise<Collector> {
  const spans: CollectedSpan[] = []
  let received = ''
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST' || request.url !== '/v1/traces') {
      response.writeHead(404).end()
      return
    }
    const text = await readText(request)
    received += text
    spans.push(...readSpans(text))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  releaser.onRelease(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('No port was given')
  return { url: `http://127.0.0.1:${address.port}`, spans, received: () => received }
}

function readSpans(text: string): CollectedSpan[] {
  return exportSchema.parse(JSON.parse(text)).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        ...span,
        service: valuesOf(resource.attributes)['service.name'],
        attributes: valuesOf(span.attributes),
      })),
    ),
  )
}

function valuesOf(attributes: z.infer<typeof attributeSchema>[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}
