import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { API_VARIABLES } from '@tidings/api/env'
import { withClient } from '@tidings/stack/servers/postgres'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { WORKER_VARIABLES } from '@tidings/worker/env'
import { describe, expect, inject, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const ROOT = new URL('..', import.meta.url)
const read = (path: string) => readFile(new URL(path, ROOT), 'utf8')

const serviceSchema = z.object({
  read_only: z.boolean(),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
  user: z.string(),
  profiles: z.array(z.enum(['observability', 'scaled'])).optional(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  networks: z.object({ default: z.object({ aliases: z.array(z.string()) }) }).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  healthcheck: z.object({ disable: z.boolean().optional() }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  build: z.object({ dockerfile: z.string() }).optional(),
})

const compose = z
  .object({ services: z.record(z.string(), serviceSchema), volumes: z.record(z.string(), z.null()) })
  .parse(parse(await read('docker-compose.yml'), { merge: true }))

/** The names of the services of a profile, or of those without one. */
const servicesOf = (profile?: 'observability' | 'scaled') =>
  Object.keys(compose.services)
    .filter((name) => compose.services[name]?.profiles?.[0] === profile)
    .sort()

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
    expect(servicesOf()).toEqual(['api', 'migrate', 'postgres', 'redis', 'worker'])
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

  test('passes on every variable of an app, except those that .env.example names as its own and the local mailbox', async () => {
    const [, said = ''] = /compose sets these itself: ([A-Z_, #\n]+)/.exec(await read('.env.example')) ?? []
    const fixed = [...said.split(/[^A-Z_]+/), 'DEV_MAILBOX_URL']
    for (const [app, variables] of [
      ['api', API_VARIABLES],
      ['worker', WORKER_VARIABLES],
    ] as const) {
      const { environment = {} } = compose.services[app] ?? {}
      const passed = Object.keys(environment).filter((name) => environment[name]?.startsWith(`\${${name}:`))
      expect([app, passed.sort()]).toEqual([app, variables.filter((name) => !fixed.includes(name)).sort()])
    }
  })

  test('mounts files that exist, and volumes that it declares', () => {
    for (const { volumes } of Object.values(compose.services))
      for (const volume of volumes) {
        const [source = '', , mode] = volume.split(':')
        if (!source.startsWith('./')) expect(Object.keys(compose.volumes)).toContain(source)
        else expect([existsSync(new URL(source, ROOT)), mode]).toEqual([true, 'ro'])
      }
  })

  test('scaled: a second API without a port of its own and two more workers, under the names of the first', () => {
    expect(servicesOf('scaled')).toEqual(['api-2', 'proxy', 'worker-2', 'worker-3'])
    const { api, worker } = compose.services
    const more = (alias: string) => ({ profiles: ['scaled'], networks: { default: { aliases: [alias] } } })
    expect(compose.services['api-2']).toEqual({ ...api, ports: [], ...more('api') })
    for (const name of ['worker-2', 'worker-3'])
      expect(compose.services[name]).toEqual({ ...worker, ...more('worker') })
  })

  test('observability: Prometheus and Grafana, which answer this machine only', () => {
    expect(servicesOf('observability')).toEqual(['grafana', 'prometheus'])
    for (const name of servicesOf('observability'))
      for (const port of compose.services[name]?.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  test('Grafana finds its data source and its dashboard', async () => {
    const mounted = compose.services.grafana?.volumes.map((volume) => volume.split(':')[1] ?? '')
    const { providers } = z
      .object({ providers: z.tuple([z.object({ options: z.object({ path: z.string() }) })]) })
      .parse(parse(await read('deploy/grafana/dashboards.yml')))
    expect(mounted).toContain(`${providers[0].options.path}/tidings.json`)
    expect(mounted?.filter((path) => path.startsWith('/etc/grafana/provisioning/'))).toHaveLength(2)
    expect(parse(await read('deploy/grafana/datasource.yml'))).toMatchObject({
      datasources: [{ type: 'prometheus', url: 'http://prometheus:9090' }],
    })
  })

  test('holds no secret', () => {
    for (const { environment } of Object.values(compose.services))
      for (const [name, value] of Object.entries(environment))
        if (/PASSWORD|KEYS|SECRET/.test(name)) expect(value).toMatch(/^\$\{\w+:[?-]/)
    expect(compose.services.api?.environment.PGPASSWORD).toContain('POSTGRES_PASSWORD:?')
  })

  describe('with a password that a URL would have to encode', () => {
    const releaser = useReleaser()
    const password = 'p/a#s s:w@o?r%d'

    test('connects to PostgreSQL', async () => {
      const { url } = await createTestDatabase(releaser)
      const role = `compose_${randomBytes(6).toString('hex')}`
      const admin = (sql: string) =>
        withClient(inject('servers').postgresAdminUrl, (client) => client.query(sql))
      await admin(`CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${password}'`)
      releaser.onRelease(async () => void (await admin(`DROP ROLE ${role}`)))

      const { DATABASE_URL = '', PGPASSWORD = '' } = compose.services.migrate?.environment ?? {}
      const target = new URL(substitute(DATABASE_URL, { POSTGRES_PASSWORD: password }))
      target.host = new URL(url).host
      target.pathname = new URL(url).pathname
      target.username = role
      const { stdout } = await promisify(execFile)(process.execPath, ['packages/db/src/main.ts'], {
        cwd: fileURLToPath(ROOT),
        env: {
          DATABASE_URL: target.href,
          PGPASSWORD: substitute(PGPASSWORD, { POSTGRES_PASSWORD: password }),
        },
      })
      expect(stdout).toBe('Database is at the newest schema.\n')
    })
  })
})

/** Replaces `${NAME:?…}` and `${NAME:-…}`, as docker compose does. */
const substitute = (text: string, variables: Readonly<Record<string, string>>) =>
  text.replace(/\$\{(\w+):[?-][^}]*\}/g, (_, name: string) => variables[name] ?? '')

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
  const manifests: string[] = []
  for await (const path of glob('{apps,packages}/*/package.json', { cwd: fileURLToPath(ROOT) }))
    manifests.push(path)
  const copied = [...dockerfile.matchAll(/^COPY (\S+\/package\.json) (\S+)\/$/gm)]
  expect(copied.map(([, manifest]) => manifest).sort()).toEqual(manifests.sort())
  for (const [, manifest, folder] of copied) expect(manifest).toBe(`${folder}/package.json`)
  expect(dockerfile).toMatch(/^COPY patches patches$/m)
  expect(dockerfile).toMatch(/^ENV PATH=\/app\/apps\/cli\/bin:\$PATH$/m)
})

test('the image installs the dependencies of each package that its programs import', async () => {
  const manifestSchema = z.object({
    name: z.string(),
    dependencies: z.record(z.string(), z.string()).default({}),
  })
  const dependencies = new Map<string, string[]>()
  for await (const path of glob('{apps,packages}/*/package.json', { cwd: fileURLToPath(ROOT) })) {
    const manifest = manifestSchema.parse(JSON.parse(await read(path)))
    dependencies.set(manifest.name, Object.keys(manifest.dependencies))
  }
  /** A package of the workspace and all that it leads to. */
  const withDependencies = (name: string, found = new Set<string>()): Set<string> => {
    if (!dependencies.has(name) || found.has(name)) return found
    found.add(name)
    for (const dependency of dependencies.get(name) ?? []) withDependencies(dependency, found)
    return found
  }

  const dockerfile = await read('deploy/Dockerfile')
  // pnpm installs a package that is named, and with three dots also those that it leads to.
  const installed = [...dockerfile.matchAll(/--filter ([^\s.]+)(\.\.\.)?/g)].flatMap(([, name = '', dots]) =>
    dots ? [...withDependencies(name)] : [name],
  )
  const programs = ['api', 'worker', 'cli', 'db'].map((name) => `@tidings/${name}`)
  for (const needed of programs.flatMap((name) => [...withDependencies(name)]))
    expect(installed).toContain(needed)
})
