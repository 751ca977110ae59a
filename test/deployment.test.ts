import { readFile } from 'node:fs/promises'
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

  test('has the five services, each with a way to tell whether it works', () => {
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

  test('gives Redis the settings that acknowledged events rely on', () => {
    const command = compose.services.redis?.command?.join(' ')
    expect(command).toContain('--appendonly yes')
    expect(command).toContain('--appendfsync always')
    expect(command).toContain('--maxmemory-policy noeviction')
  })

  test('passes on every variable of an app, but for those that .env.example says it sets itself', async () => {
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

test('packages are chosen for the Node that runs them, not for the one that installs them', async () => {
  const workspaceSchema = z.object({ nodeVersion: z.string(), catalog: z.object({ node: z.string() }) })
  const { nodeVersion, catalog } = workspaceSchema.parse(parse(await read('pnpm-workspace.yaml')))
  expect(nodeVersion).toBe(catalog.node)
})

test('the image installs what the lockfile says, runs as a user, and copies every manifest and patch it needs', async () => {
  const dockerfile = await read('deploy/Dockerfile')
  expect(dockerfile).toContain('install --frozen-lockfile --prod')
  expect(dockerfile).toMatch(/^USER node$/m)
  expect(dockerfile).toMatch(/^HEALTHCHECK /m)
  for (const room of [
    'apps/api',
    'apps/worker',
    'apps/cli',
    'packages/shared',
    'packages/db',
    'packages/queue',
    'packages/telemetry',
  ])
    expect(dockerfile).toContain(`COPY ${room}/package.json ${room}/`)
  expect(dockerfile).toMatch(/^COPY patches patches$/m)
})
