import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { Hono } from 'hono'
import { z } from 'zod'
import type { ApiEnv } from '../http/context.ts'
import { respondWithError } from '../http/error-response.ts'
import { notFound } from '../http/read-query.ts'
import { staticFile } from '../http/static-file.ts'
import { createOpenApiDocument } from './document.ts'
import type { Operation } from './operation.ts'

const require = createRequire(import.meta.url)

/** The viewer's files, served from its package: the page loads nothing from another host. */
const ASSETS = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidings API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#reference', deepLinking: true })\n`

/** The viewer needs inline styles and `data:` images, and nothing from another host. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Routes for /openapi.json and the reference at /docs, to which `/` sends browsers. */
export function docsRoutes(operations: readonly Operation[]): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  const openApi = Buffer.from(JSON.stringify(createOpenApiDocument([...operations, ...docsOperations])))

  app.get(
    '/openapi.json',
    staticFile(async () => openApi, { 'content-type': 'application/json; charset=utf-8' }),
  )
  app.get('/', (c) =>
    c.req.header('accept')?.includes('text/html')
      ? c.redirect('/docs')
      : respondWithError(notFound(), c.env.outgoing.requestId),
  )
  app.get('/docs', () =>
    respond(PAGE, 'text/html; charset=utf-8', { 'content-security-policy': PAGE_POLICY }),
  )
  app.get('/docs/start.js', () => respond(START, 'text/javascript; charset=utf-8', CACHEABLE))
  for (const [name, type] of Object.entries(ASSETS)) {
    const read = () => readFile(require.resolve(`swagger-ui-dist/${name}`))
    app.get(`/docs/${name}`, staticFile(read, { 'content-type': type, ...CACHEABLE }))
  }
  return app
}

const CACHEABLE = { 'cache-control': 'public, max-age=3600' }

const respond = (body: string, type: string, headers: Record<string, string>) =>
  new Response(body, { headers: { 'content-type': type, ...headers } })

/** The page's own files are not operations: nobody calls them. */
const docsOperations: readonly Operation[] = [
  {
    id: 'readOpenApi',
    method: 'get',
    path: '/openapi.json',
    tag: 'service',
    summary: 'This document',
    access: 'public',
    answers: { 200: { description: 'OpenAPI 3.1', json: z.record(z.string(), z.unknown()) } },
  },
  {
    id: 'readReference',
    method: 'get',
    path: '/docs',
    tag: 'service',
    summary: 'The browsable reference',
    access: 'public',
    answers: { 200: { description: 'A page', other: 'text/html' } },
  },
]
