import { Validator } from '@seriousme/openapi-schema-validator'
import { createLogger } from '@tidings/runtime/log'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { type AppDeps, createApp, createRoutes } from '../app.ts'
import { createRegistry } from '../http/request-metrics.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { documentedPath, type OpenApiDocument } from './document.ts'

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

  it('describes every mounted route and nothing more', () => {
    const mounted = createRoutes(deps)
      .flatMap(({ routes }) => routes)
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

  it('gives each operation its own id', () => {
    const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map((o) => o.operationId))
    expect(new Set(ids).size).toBe(ids.length)
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
