import { glob, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { API_VARIABLES } from '@tidings/api/env'
import { WORKER_VARIABLES } from '@tidings/worker/env'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')

const serviceSchema = z.object({
  read_only: z.boolean(),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
  user: z.string(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  healthcheck: z.object({ disable: z.boolean().optional() }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  build: z.object({ dockerfile: z.string() }).optional(),
})

const compose = z
  .object({ services: z.record(z.string(), serviceSchema) })
  .parse(parse(await read('docker-compose.yml'), { merge: true }))

describe('docker-compose.yml', () => {
  test.for(Object.entries(compose.services))('confines %s', ([, service]) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
    expect(service.user).not.toMatch(/^(root|0)$/)
  })

  test('has five services, and a health check for each that stays up', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['api', 'migrate', 'postgres', 'redis', 'worker'])
    for (const store of ['postgres', 'redis']) expect(compose.services[store]?.healthcheck).toBeDefined()
    expect(compose.services.migrate?.healthcheck?.disable).toBe(true)
  })

  test('starts the apps after the migration, on healthy stores', () => {
    for (const app of ['api', 'worker'])
      expect(compose.services[app]?.depends_on).toEqual({
        migrate: { condition: 'service_completed_successfully' },
        redis: { condition: 'service_healthy' },
      })
    expect(compose.services.migrate?.depends_on).toEqual({ postgres: { condition: 'service_healthy' } })
  })

  test('gives Redis the settings that keep acknowledged events', () => {
    const command = compose.services.redis?.command?.join(' ')
    expect(command).toContain('--appendonly yes')
    expect(command).toContain('--appendfsync always')
    expect(command).toContain('--maxmemory-policy noeviction')
  })

  test('passes on every variable of an app, except those that .env.example names as its own', async () => {
    const [, said = ''] = /compose sets these itself: ([A-Z_, #\n]+)/.exec(await read('.env.example')) ?? []
    const fixed = said.split(/[^A-Z_]+/)
    for (const [app, variables] of [
      ['api', API_VARIABLES],
      ['worker', WORKER_VARIABLES],
    ] as const) {
      const { environment = {} } = compose.services[app] ?? {}
      const passed = Object.keys(environment).filter((name) => environment[name]?.startsWith(`\${${name}:`))
      expect([app, passed.sort()]).toEqual([app, variables.filter((name) => !fixed.includes(name)).sort()])
    }
  })

  test('holds no secret', () => {
    for (const { environment } of Object.values(compose.services))
      for (const [name, value] of Object.entries(environment))
        if (/PASSWORD|KEYS|SECRET/.test(name)) expect(value).toMatch(/^\$\{\w+:[?-]/)
    expect(compose.services.api?.environment.DATABASE_URL).toContain('POSTGRES_PASSWORD:?')
  })
})

test('pnpm chooses packages for the Node that runs them, not for the Node that installs them', async () => {
  const workspaceSchema = z.object({ nodeVersion: z.string(), catalog: z.object({ node: z.string() }) })
  const { nodeVersion, catalog } = workspaceSchema.parse(parse(await read('pnpm-workspace.yaml')))
  expect(nodeVersion).toBe(catalog.node)
})

test('the image installs the lockfile, does not run as root, and copies every manifest and patch', async () => {
  const dockerfile = await read('deploy/Dockerfile')
  expect(dockerfile).toContain('install --frozen-lockfile --prod')
  expect(dockerfile).toMatch(/^USER node$/m)
  expect(dockerfile).toMatch(/^HEALTHCHECK /m)
  const root = fileURLToPath(new URL('..', import.meta.url))
  const manifests: string[] = []
  for await (const path of glob('{apps,packages}/*/package.json', { cwd: root })) manifests.push(path)
  const copied = [...dockerfile.matchAll(/^COPY (\S+\/package\.json) (\S+)\/$/gm)]
  expect(copied.map(([, manifest]) => manifest).sort()).toEqual(manifests.sort())
  for (const [, manifest, folder] of copied) expect(manifest).toBe(`${folder}/package.json`)
  expect(dockerfile).toMatch(/^COPY patches patches$/m)
})
