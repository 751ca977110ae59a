import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readEnvFile } from '@tidings/runtime/env-file'
import { describe, expect, inject, test } from 'vitest'
import { findProgram } from '../servers/find-program.ts'
import { findFreePort } from '../servers/free-port.ts'
import { startPgbouncer } from '../servers/pgbouncer.ts'
import { withClient } from '../servers/postgres.ts'
import { waitFor } from '../servers/wait-for.ts'
import { describeBackends, makeTestFolder, useReleaser } from '../testing/test-context.ts'
import { startTestStack } from '../testing/test-stack.ts'
import { readStartEnv } from './env.ts'
import { startStack } from './start-stack.ts'

const SECRET = 'canary-password'
const program = findProgram('pgbouncer', process.env.PATH)
const START = fileURLToPath(new URL('./start.ts', import.meta.url))

/** Runs the program of npm start, as the launcher does. */
function runStart(env: NodeJS.ProcessEnv): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [START], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

/** Starts the same in this process and returns the message of the error that ends it. */
async function failStart(env: NodeJS.ProcessEnv): Promise<string> {
  const starting = startStack({
    env: readStartEnv(env),
    baseEnv: {},
    signal: new AbortController().signal,
    onStep: () => {},
    onNotice: () => {},
    onGiveUp: () => {},
  })
  return starting.then(
    async (stack) => {
      await stack.stop()
      throw new Error('The start did not fail')
    },
    (error) => {
      expect(error).toMatchObject({ name: 'StartupError' })
      return error.message
    },
  )
}

describe('an npm start that fails', () => {
  const releaser = useReleaser()

  test('prints one line on stderr and exits with 1', async () => {
    const DATA_DIR = await makeTestFolder(releaser)
    const { code, stdout, stderr } = await runStart({ HOST: 'name.invalid', DATA_DIR })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^Cannot listen on HOST=name\.invalid \(.*\)\. Set it to an address.*\n$/)
  })

  test('lists every configuration problem at once, without values', async () => {
    const { code, stderr } = await runStart({
      PORT: 'canary',
      DATABASE_URL: 'mysql://canary',
      QUEUE_BACKEND: 'canary',
    })
    expect(code).toBe(1)
    for (const name of ['PORT', 'DATABASE_URL', 'QUEUE_BACKEND']) expect(stderr).toContain(`- ${name}:`)
    expect(stderr).not.toContain('canary')
  })

  test('says that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    releaser.onRelease(() => void server.close())
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    expect(await failStart({ PORT: String(port), DATA_DIR: await makeTestFolder(releaser) })).toBe(
      `Port ${port} on 127.0.0.1 is already in use. Stop what listens there, or set PORT to another.`,
    )
  })

  test('says that the machine does not have the address of HOST', async () => {
    const message = await failStart({ HOST: '192.0.2.1', DATA_DIR: await makeTestFolder(releaser) })
    expect(message).toMatch(/^Cannot listen on HOST=192\.0\.2\.1 \(.*\)\. Set it to an address.*$/)
  })

  test.for(['/proc/x', START])('says that data cannot be kept in %s', async (dataDir) => {
    expect(await failStart({ DATA_DIR: dataDir })).toMatch(
      /^DATA_DIR=.* cannot be used \(.*\)\. Set it to a folder that can be written\.$/,
    )
  })

  test.for([
    ['DATABASE_URL', 'The PostgreSQL of DATABASE_URL', `postgres://user:${SECRET}@127.0.0.1:1/none`],
    ['REDIS_URL', 'The Redis of REDIS_URL', `redis://user:${SECRET}@127.0.0.1:1`],
  ] as const)('says that the store of %s does not answer', async ([variable, store, url]) => {
    const message = await failStart({
      PORT: String(await findFreePort()),
      DATA_DIR: await makeTestFolder(releaser),
      DATABASE_URL: inject('servers').postgresAdminUrl,
      [variable]: url,
    })
    // How the refusal is worded depends on how busy the machine is.
    const line = `^${store} at 127\\.0\\.0\\.1:1 cannot be used \\(.+\\)\\. Start it, set the variable .*, or unset it\\.$`
    expect(message).toMatch(new RegExp(line))
    expect(message).not.toContain(SECRET)
  })
})

describeBackends('a started stack', (kind) => {
  const releaser = useReleaser()

  test('stores an event, restarts an app that was killed, and keeps its secrets to its owner', async () => {
    const stack = await startTestStack(releaser, kind)
    const devEnv = readEnvFile(stack.devEnvFile)
    expect(devEnv.API_URL).toBe(stack.apiUrl)
    expect((await fetch(`${devEnv.WORKER_URL}/metrics`)).status).toBe(200)
    for (const file of ['dev.env', 'jwt-keys.json', 'email-service.key', 'logs/api.log', 'logs/worker.log'])
      expect([file, (await stat(join(stack.dataDir, file))).mode & 0o777]).toEqual([file, 0o600])

    const post = (id: string) =>
      fetch(`${stack.apiUrl}/api/v1/email/status/`, {
        method: 'POST',
        headers: { authorization: `Bearer ${devEnv.SERVICE_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ notification_id: id, status: 'delivered' }),
      })
    const isStored = (id: string) =>
      withClient(stack.databaseUrl, async (client) => {
        const sql = 'SELECT 1 FROM notification_status WHERE notification_id = $1'
        return (await client.query(sql, [id])).rows.length === 1
      })
    expect((await post('before')).status).toBe(202)
    await waitFor('the first event', () => isStored('before'))

    for (const app of ['api', 'worker'] as const) process.kill(stack.pid(app), 'SIGKILL')
    await waitFor(
      'both exits to be reported',
      () => stack.notices.filter((text) => text.includes('restarting it')).length === 2,
    )
    await waitFor('the API to answer again', async () => (await post('after')).status === 202, {
      timeoutMs: 15_000,
    })
    await waitFor('the second event', () => isStored('after'), { timeoutMs: 40_000 })
    expect(stack.notices.join('\n')).toMatch(/api ended unexpectedly \(SIGKILL\); restarting it/)
  })
})

const lastReleaser = useReleaser()

test.skipIf(program === undefined)(
  `npm start works on a database behind PgBouncer whose URL is in a file${program ? '' : ': NO PGBOUNCER ON THE PATH'}`,
  { timeout: 90_000 },
  async () => {
    const stack = await startTestStack(lastReleaser, 'postgres', {}, async (url) => {
      const folder = await makeTestFolder(lastReleaser)
      const bouncer = await startPgbouncer({
        dataDir: join(folder, 'pgbouncer'),
        program: program ?? '',
        target: url,
        poolMode: 'transaction',
        poolSize: 5,
      })
      lastReleaser.onRelease(bouncer.stop)
      const file = join(folder, 'database-url')
      await writeFile(file, bouncer.url(new URL(url).pathname.slice(1)))
      return { DATABASE_URL_FILE: file, DATABASE_DIRECT_URL: url }
    })
    const devEnv = readEnvFile(stack.devEnvFile)
    expect(devEnv).toMatchObject({ DATABASE_DIRECT_URL: stack.databaseUrl })
    expect(devEnv.DATABASE_URL).not.toBe(stack.databaseUrl)
    expect((await fetch(`${stack.apiUrl}/health/ready`)).status).toBe(200)
  },
)
