import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { describe, expect, inject, test } from 'vitest'
import { findFreePort } from '../servers/free-port.ts'
import { withClient } from '../servers/postgres.ts'
import { waitFor } from '../servers/wait-for.ts'
import { describeBackends, useReleaser } from '../testing/test-context.ts'
import { startTestStack } from '../testing/test-stack.ts'

const SECRET = 'canary-password'
const START = fileURLToPath(new URL('./start.ts', import.meta.url))

function runStart(env: NodeJS.ProcessEnv): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [START],
      { env: { PATH: process.env.PATH, ...env } },
      (error, _stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stderr }),
    )
  })
}

describe('npm start that cannot', () => {
  const releaser = useReleaser()
  const makeDataDir = async () =>
    releaser.add(await mkdtemp(join(tmpdir(), 'tidings-start-')), (path) => rm(path, { recursive: true }))

  test('says in one line that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    releaser.onRelease(() => void server.close())
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { code, stderr } = await runStart({ PORT: String(port), DATA_DIR: await makeDataDir() })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `Port ${port} on 127.0.0.1 is already in use. Stop what listens there, or set PORT to another.\n`,
    )
  })

  test.for(['name.invalid', '192.0.2.1'])('says in one line that there is no HOST=%s here', async (HOST) => {
    const { code, stderr } = await runStart({ HOST, DATA_DIR: await makeDataDir() })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      new RegExp(`^Cannot listen on HOST=${HOST} \\(.*\\)\\. Set it to an address.*\\n$`),
    )
  })

  test.for(['/proc/x', START])('says in one line that it cannot keep data in %s', async (dataDir) => {
    const { code, stderr } = await runStart({ DATA_DIR: dataDir })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^DATA_DIR=.* cannot be used \(.*\)\. Set it to a folder that can be written\.\n$/)
  })

  test.for([
    ['DATABASE_URL', 'The PostgreSQL of DATABASE_URL', `postgres://user:${SECRET}@127.0.0.1:1/none`],
    ['REDIS_URL', 'The Redis of REDIS_URL', `redis://user:${SECRET}@127.0.0.1:1`],
  ] as const)('says in one line that the store of %s does not answer', async ([variable, what, url]) => {
    const { code, stderr } = await runStart({
      PORT: String(await findFreePort()),
      DATA_DIR: await makeDataDir(),
      DATABASE_URL: inject('servers').postgresAdminUrl,
      [variable]: url,
    })
    expect(code).toBe(1)
    // How the refusal is worded depends on how busy the machine is.
    expect(stderr).toMatch(
      new RegExp(
        `^${what} at 127\\.0\\.0\\.1:1 cannot be used \\(.+\\)\\. Start it, or set .*, or to none\\.\\n$`,
      ),
    )
    expect(stderr).not.toContain(SECRET)
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
})

describeBackends('a started stack', (kind) => {
  const releaser = useReleaser()

  test('stores an event, survives the death of a part, and keeps its secrets to its owner', {
    timeout: 90_000,
  }, async () => {
    const stack = await startTestStack(releaser, kind)
    const devEnv = parseEnv(await readFile(stack.devEnvFile, 'utf8'))
    expect(devEnv.API_URL).toBe(stack.apiUrl)
    expect((await fetch(`${devEnv.WORKER_URL}/metrics`)).status).toBe(200)
    for (const file of ['dev.env', 'jwt-keys.json', 'logs/api.log', 'logs/worker.log'])
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

    for (const part of ['api', 'worker'] as const) process.kill(stack.pid(part), 'SIGKILL')
    await waitFor(
      'both to be missed',
      () => stack.notices.filter((text) => text.includes('starting it again')).length === 2,
    )
    await waitFor('the API to be back', async () => (await post('after')).status === 202, {
      timeoutMs: 15_000,
    })
    await waitFor('the second event', () => isStored('after'), { timeoutMs: 40_000 })
    expect(stack.notices.join('\n')).toMatch(/api ended unexpectedly \(SIGKILL\); starting it again/)
  })
})
