import { Validator } from '@seriousme/openapi-schema-validator'
import { createLogger } from '@tidings/runtime/log'
import { OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type AppDeps, createApp, createRoutes } from '../app.ts'
import { createRegistry } from '../http/request-metrics.ts'
import { call } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { documentedPath, type OpenApiDocument } from './document.ts'

const contentSchema = z
  .record(
    z.string(),
    z.object({ schema: z.record(z.string(), z.unknown()), example: z.unknown().optional() }),
  )
  .optional()
const operationSchema = z.object({
  operationId: z.string(),
  security: z.array(z.record(z.string(), z.unknown())),
  requestBody: z.object({ content: contentSchema }).optional(),
  responses: z.record(z.string(), z.object({ content: contentSchema })),
})

/** Only a login has a refresh token that works, only a message a token. An earlier example changed the password. */
const REFUSED_EXAMPLES: Readonly<Record<string, number>> = {
  refreshSession: 401,
  eraseUser: 403,
  resetPassword: 400,
  verifyEmail: 400,
  confirmEmailChange: 400,
  undoEmailChange: 400,
}

describe('the OpenAPI document', () => {
  const releaser = useReleaser()
  let api: TestApi
  let document: OpenApiDocument
  beforeAll(async () => {
    api = await startTestApi(releaser)
    document = (await (await fetch(`${api.apiUrl}/openapi.json`)).json()) as OpenApiDocument
  })

  it('is valid OpenAPI 3.1', async () => {
    expect(await new Validator().validate(structuredClone({ ...document }))).toEqual({ valid: true })
  })

  // Only handlers use the other parts, and mounting calls no handler.
  const deps = {
    log: createLogger('api-test', 'silent'),
    registry: createRegistry(),
    corsOrigins: [],
  } as unknown as AppDeps

  it('describes every mounted route but pages, the files of the reference and the way to it, and nothing more', () => {
    const pages = Object.values(OUTBOUND_LINKS).map((link) => link.path)
    const mounted = createRoutes(deps)
      .flatMap(({ routes }) => routes)
      .filter(({ path }) => path !== '/' && !path.startsWith('/docs/') && !pages.includes(path))
      .map(({ method, path }) => `${method} ${documentedPath(path)}`)
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(mounted.sort())
  })

  it('keeps Hono on its fast router', () => {
    const { router } = createApp(deps)
    router.match('GET', '/')
    expect(router.name).toBe('SmartRouter + RegExpRouter')
  })

  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        path,
        method,
        ...operationSchema.parse(operation),
      })),
    )

  it('gives each operation its own id, in camel case', () => {
    const ids = operations().map(({ operationId }) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z]+([A-Z][a-z]+)*$/)
  })

  it('names the schema of every JSON body and answer, and uses every name', () => {
    const { schemas } = z.object({ schemas: z.record(z.string(), z.unknown()) }).parse(document.components)
    for (const { requestBody, responses } of operations())
      for (const { content } of [requestBody ?? {}, ...Object.values(responses)])
        for (const [type, { schema }] of Object.entries(content ?? {}))
          if (type.endsWith('json')) expect(Object.keys(schema)).toEqual(['$ref'])
    const referred = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)]
    expect(new Set(referred.map(([, name]) => name))).toEqual(new Set(Object.keys(schemas)))
    for (const name of ['User', 'LoginResult', 'Session', 'StatusReport', 'StatusEvent', 'Notification'])
      expect(Object.keys(schemas)).toContain(name)
  })

  it('says where the API is: where the document is', () => {
    expect(document.servers).toMatchObject([{ url: '/' }])
  })

  it('has an example for every body, which the API accepts', async () => {
    const key = await api.createKey()
    const send = (path: string, method: string, token: string, body: unknown) =>
      call<{ token: string }>(`${api.apiUrl}${path.replace('{id}', 'me')}`, { method, token, body })
    const withBody = operations().filter(({ requestBody }) => requestBody !== undefined)
    const exampleOf = (operation: (typeof withBody)[number]) =>
      operation.requestBody?.content?.['application/json']?.example
    const [register, ...others] = withBody
    if (register === undefined) throw new Error('No operation has a body')
    expect(register.operationId).toBe('registerUser')
    const registered = await send(register.path, 'POST', '', exampleOf(register))
    expect(registered.status, registered.text).toBe(201)
    for (const operation of others) {
      const { path, method, operationId, security } = operation
      const isUsers = security.some((credential) => 'user' in credential)
      const token = isUsers ? registered.body.data.token : key
      const reply = await send(path, method.toUpperCase(), token, exampleOf(operation))
      const refusal = REFUSED_EXAMPLES[operationId]
      if (refusal !== undefined) expect([operationId, reply.status]).toEqual([operationId, refusal])
      else expect(reply.status, `${operationId}: ${reply.text}`).toBeLessThan(300)
    }
  })

  it('has a reference page that loads nothing from elsewhere', async () => {
    const page = await fetch(`${api.apiUrl}/docs/`)
    const html = await page.text()
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
    const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = '']) => link)
    const local = links.filter((link) => link.startsWith('/'))
    expect(links.filter((link) => !link.startsWith('/'))).toEqual(['data:,'])
    for (const link of local) expect((await fetch(`${api.apiUrl}${link}`)).status).toBe(200)
    expect(local).toHaveLength(3)
  })

  it('is where / sends a browser; other clients get a 404', async () => {
    const ask = (accept: string) => fetch(api.apiUrl, { headers: { accept }, redirect: 'manual' })
    const browser = await ask('text/html,application/xhtml+xml,*/*;q=0.8')
    expect([browser.status, browser.headers.get('location')]).toEqual([302, '/docs'])
    const other = await ask('*/*')
    expect([other.status, await other.json()]).toMatchObject([404, { error: 'not_found' }])
  })

  it.each(['/openapi.json', '/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js'])(
    'is compressed for clients that take gzip: %s',
    async (path) => {
      const [small, plain, refused] = await Promise.all(
        ['br, GZIP;q=0.8', 'identity', 'gzip;q=0'].map((encoding) =>
          fetch(`${api.apiUrl}${path}`, { headers: { 'accept-encoding': encoding } }),
        ),
      )
      const encodings = [small, plain, refused].map((answer) => answer?.headers.get('content-encoding'))
      expect(encodings).toEqual(['gzip', null, null])
      expect(small?.headers.get('vary')).toContain('accept-encoding')
      const lengthOf = (answer?: Response) => Number(answer?.headers.get('content-length'))
      expect(lengthOf(small)).toBeLessThan(lengthOf(plain) / 2)
      expect(await small?.text()).toBe(await plain?.text())
      await refused?.text()
    },
  )
})
