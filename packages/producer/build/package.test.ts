import { execFile } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { readEnvFile } from '@tidings/runtime/env-file'
import { withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { buildPackage, COMPILER } from './build-package.ts'

const run = promisify(execFile)

/** A program that has the package and nothing else. */
const PROGRAM = `
import { createProducer, ProducerError } from '@tidings/producer'

const { API_URL, SERVICE_KEY, REDIS_URL, QUEUE_PREFIX, RUN } = process.env
for (const [way, options] of [
  ['api', { api: { url: API_URL, key: SERVICE_KEY } }],
  ['queue', { queue: { url: REDIS_URL, prefix: QUEUE_PREFIX } }],
]) {
  const producer = createProducer(options)
  const id = RUN + '-' + way
  const event = { notification_type: 'email', notification_id: id, status: 'sent', event_id: id }
  const report = () => producer.report(event).catch((error) => (error.retryable ? report() : Promise.reject(error)))
  const { via } = await report()
  const error = await producer.report({ notification_type: 'email', notification_id: 'n', status: 'failed' }).catch((it) => it)
  console.log(way === via, error instanceof ProducerError, error.message)
  await producer.close()
}
`

/** What a service in TypeScript writes. */
const TYPED_PROGRAM = `
import { createProducer, type Producer, ProducerError, type Receipt, type Report, type ReportResult } from '@tidings/producer'

const producer: Producer = createProducer({
  queue: { url: 'redis://localhost', source: 'email-service' },
  api: { url: 'https://tidings.example.com', key: 'tdk_key', deadlineMs: 60_000 },
  maxPending: 100,
})
const event: Report = { notification_type: 'email', notification_id: 'order-7', status: 'sent', user_id: null }

export async function report(): Promise<string> {
  try {
    const { eventId }: Receipt = await producer.report(event)
    const results: ReportResult[] = await producer.reportMany([event, { ...event, error: { message: 'No.', class: 'permanent' } }])
    await producer.flush()
    return results.every((result) => result.accepted) ? eventId : ''
  } catch (error) {
    if (error instanceof ProducerError && error.code === 'overloaded') return error.fields.map(({ pointer }) => pointer).join()
    throw error
  } finally {
    await producer.close({ timeoutMs: 1_000 })
  }
}

// @ts-expect-error There is no such status.
export const wrongStatus: Report = { notification_type: 'email', notification_id: 'order-7', status: 'read' }
// @ts-expect-error An event needs its type.
export const withoutType: Report = { notification_id: 'order-7', status: 'sent' }
// @ts-expect-error One way is needed.
createProducer({ maxPending: 10 })
// @ts-expect-error With both ways, the source is needed.
createProducer({ queue: { url: 'redis://localhost' }, api: { url: 'http://localhost', key: 'k' } })
`

const manifestSchema = z.object({
  private: z.undefined().optional(),
  dependencies: z.record(z.string(), z.string()),
})

describe('the package', () => {
  const releaser = useReleaser()
  /** Of a project that has the package installed. */
  let project: string
  let started: Promise<TestStack> | undefined
  /** A running system that the programs share. */
  const running = () => {
    started ??= startTestStack(releaser)
    return started
  }
  beforeAll(async () => {
    const [built, packed] = [await makeTestFolder(releaser), await makeTestFolder(releaser)]
    project = await makeTestFolder(releaser)
    await buildPackage(built)
    await run('npm', ['pack', built, '--pack-destination', packed, '--offline'], { cwd: packed })
    const installed = join(project, 'node_modules/@tidings/producer')
    await mkdir(installed, { recursive: true })
    await run('tar', [
      '-xzf',
      join(packed, 'tidings-producer-0.1.0.tgz'),
      '--strip-components',
      '1',
      '-C',
      installed,
    ])
    await writeFile(join(project, 'package.json'), '{ "type": "module" }')
    const { dependencies } = manifestSchema.parse(
      JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')),
    )
    // From the workspace's store, so that the test needs no registry.
    for (const name of Object.keys(dependencies))
      await symlink(findDependency(name), join(project, 'node_modules', name))
  })

  it('needs few others: those of the queue, zod, and uuid', async () => {
    const file = join(project, 'node_modules/@tidings/producer/package.json')
    const { dependencies } = manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')))
    expect(Object.keys(dependencies)).toEqual(['bullmq', 'ioredis', 'uuid', 'zod'])
    for (const range of Object.values(dependencies)) expect(range).toMatch(/^\^\d+\.\d+\.\d+$/)
  })

  it('has types that a program in TypeScript compiles with', async () => {
    await writeFile(join(project, 'service.ts'), TYPED_PROGRAM)
    const options = [
      '--noEmit',
      '--strict',
      '--exactOptionalPropertyTypes',
      '--module',
      'nodenext',
      '--target',
      'es2023',
    ]
    const output = await run(process.execPath, [COMPILER, ...options, 'service.ts'], { cwd: project }).then(
      () => '',
      ({ stdout }) => stdout,
    )
    expect(output).toBe('')
  })

  it('works in a CommonJS program, also for a compiler that does not read exports', async () => {
    const installed = join(project, 'node_modules/@tidings/producer')
    const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
    const files = [manifest.main, manifest.types].map((file) => file && join(installed, file))
    expect(files.map((file) => existsSync(file ?? ''))).toEqual([true, true])
    const program = "console.log(typeof require('@tidings/producer').createProducer)"
    await writeFile(join(project, 'program.cjs'), program)
    expect((await run(process.execPath, ['program.cjs'], { cwd: project })).stdout).toBe('function\n')
  })

  it('loads no client of the queue for a producer that uses the API only', async () => {
    const program = `
      import { createProducer } from '@tidings/producer'
      import { createRequire } from 'node:module'
      const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes('ioredis'))
      createProducer({ api: { url: 'http://localhost', key: 'k' } })
      const before = isLoaded()
      await import('ioredis')
      console.log(before, isLoaded())`
    await writeFile(join(project, 'api-only.js'), program)
    expect((await run(process.execPath, ['api-only.js'], { cwd: project })).stdout).toBe('false true\n')
  })

  it('has a README whose program works', async () => {
    const stack = await running()
    const readme = await readFile(join(project, 'node_modules/@tidings/producer/README.md'), 'utf8')
    const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(readme) ?? []
    await writeFile(join(project, 'readme.js'), program)
    const env = { ...readEnvFile(stack.devEnvFile), API_URL: stack.apiUrl }
    const { stdout } = await run(process.execPath, ['readme.js'], { cwd: project, env })
    expect(stdout).toMatch(
      /^durable: [0-9a-f-]{36}\ninvalid_event The event is not valid\. error: This status requires an error\.\n$/,
    )
  })

  describeRedis('in a program', () => {
    it('reports over HTTP and over the queue, on each Node.js of this machine', async () => {
      const stack = await running()
      const env = { ...readEnvFile(stack.devEnvFile), API_URL: stack.apiUrl }
      await writeFile(join(project, 'program.js'), PROGRAM)
      const nodes = [process.execPath, ...(await findOtherNodes())]
      const line = 'true true The event is not valid. error: This status requires an error.\n'
      for (const [index, node] of nodes.entries()) {
        const { stdout, stderr } = await run(node, ['program.js'], {
          cwd: project,
          env: { ...env, RUN: `run-${index}` },
          // A program ends by itself when its producers are closed, long before the deadline of an event.
          timeout: 20_000,
        })
        expect(stderr + stdout, node).toBe(line + line)
      }
      const ids = nodes.flatMap((_, index) => [`run-${index}-api`, `run-${index}-queue`])
      const sql =
        "SELECT notification_id FROM notification_status WHERE notification_id LIKE 'run-%' ORDER BY 1"
      const readIds = () =>
        withClient(stack.databaseUrl, async (client) =>
          (await client.query(sql)).rows.map(({ notification_id }) => notification_id),
        )
      await waitFor('the rows', async () => (await readIds()).length >= ids.length)
      expect(await readIds()).toEqual(ids)
    })
  })
})

/** The folder of a dependency of this package, or of one that is in it. */
function findDependency(name: string): string {
  const places = ['producer', 'shared'].map(
    (each) => new URL(`../../${each}/node_modules/${name}`, import.meta.url),
  )
  const found = places.map((place) => fileURLToPath(place)).find(existsSync)
  if (found === undefined) throw new Error(`${name} is not installed`)
  return realpathSync(found)
}

/** Programs named node on the PATH, other than that of the checkout, which are at least version 20. */
async function findOtherNodes(): Promise<string[]> {
  const folders = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
  const found: string[] = []
  for (const folder of folders) {
    const node = join(folder, 'node')
    const version = await run(node, ['--version']).then(
      ({ stdout }) => Number(/^v(\d+)/.exec(stdout)?.[1]),
      () => 0,
    )
    if (version >= 20) found.push(node)
  }
  return found
}
