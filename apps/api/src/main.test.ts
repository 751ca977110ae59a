import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { COMPILE_CACHE } from '@tidings/stack/dev/compile-cache'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

/** Runs the API with this environment, and nothing of the test's own, until it exits. */
function runMain(
  env: Record<string, string>,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN], {
      env: { ...COMPILE_CACHE, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
    const output = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk) => {
      output.stdout += chunk
      // Sends a further SIGTERM for every line that the API logs while stopping.
      if (output.stdout.includes('"listening"')) child.kill('SIGTERM')
    })
    child.stderr.on('data', (chunk) => {
      output.stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ...output }))
  })
}

/** Enough to start: the stores may be away. */
const STARTABLE = {
  DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none',
  REDIS_URL: 'redis://127.0.0.1:1',
  JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
  HOST: '127.0.0.1',
  PORT: '0',
}

describe.concurrent('the API process', () => {
  const releaser = useReleaser()

  it('lists all problems of its configuration, shows no value, and exits with 1', async () => {
    const secret = 'hunter2'
    const { code, stderr } = await runMain({
      DATABASE_URL: `mysql://root:${secret}@localhost/x`,
      PORT: '99999',
      LOG_LEVEL: 'loud',
      LEGACY_HS256_SECRET: secret,
      CORS_ORIGINS: '*',
      TRUSTED_PROXY_HOPS: 'many',
      RATE_LIMIT_ENABLED: 'perhaps',
      ACCESS_TOKEN_TTL: '86400',
      QUEUE_BACKEND: 'kafka',
    })
    expect(code).toBe(1)
    for (const name of [
      'DATABASE_URL',
      'PORT',
      'LOG_LEVEL',
      'LEGACY_HS256_SECRET',
      'CORS_ORIGINS',
      'TRUSTED_PROXY_HOPS',
      'RATE_LIMIT_ENABLED',
      'ACCESS_TOKEN_TTL',
      'QUEUE_BACKEND',
    ]) {
      expect(stderr).toMatch(new RegExp(`^  - ${name}: `, 'm'))
    }
    expect(stderr).not.toContain(secret)
    expect(stderr).not.toMatch(/^ +at /m)
  })

  it('reports a taken port in one line and exits with 1', async () => {
    const taken = releaser.add(createServer(), (server) => server.close())
    const port = await new Promise<number>((resolve) =>
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port)),
    )
    const { code, stderr } = await runMain({ ...STARTABLE, PORT: String(port) })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `Port ${port} on 127.0.0.1 is already in use. Stop what listens there, or set PORT to another.\n`,
    )
  })

  it('reports an unknown HOST in one line and exits with 1', async () => {
    const { code, stderr } = await runMain({ ...STARTABLE, HOST: '192.0.2.1' })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^Cannot listen on HOST=192\.0\.2\.1 \(\w+\)\. Set it to an address .*\n$/)
  })

  it('logs why PostgreSQL is away, and a request that failed for it as an error', async () => {
    const port = await findFreePort()
    const api = releaser.add(
      await spawnApp({
        name: 'api',
        main: 'apps/api/src/main.ts',
        env: { ...STARTABLE, PORT: String(port) },
      }),
      (app) => app.stop(),
    )
    await waitFor('the API to listen', () => api.output().includes('"listening"'), { timeoutMs: 30_000 })
    const login = await fetch(`http://127.0.0.1:${port}/api/v1/users/login/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ email: 'ada@example.com', password: 'correct horse' }),
    })
    const health = await fetch(`http://127.0.0.1:${port}/health/ready`, { headers: { connection: 'close' } })
    expect([login.status, health.status]).toEqual([503, 503])
    const lines = await waitFor('both requests in the log', () => {
      const parsed = api
        .output()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line): Record<string, unknown> => JSON.parse(line))
      return parsed.filter(({ msg }) => msg === 'request').length === 2 && parsed
    })
    const service = 'tidings-api'
    expect(lines).toContainEqual(
      expect.objectContaining({
        ...{ service, level: 'warn', msg: 'PostgreSQL connection failed' },
        error: 'connect ECONNREFUSED 127.0.0.1:1',
      }),
    )
    const request = { service, msg: 'request', status: 503 }
    expect(lines).toContainEqual(
      expect.objectContaining({ ...request, level: 'error', route: '/api/v1/users/login' }),
    )
    expect(lines).toContainEqual(
      expect.objectContaining({ ...request, level: 'info', route: '/health/ready' }),
    )
  })

  it('starts while its stores are away, and stops on SIGTERM, also on a second one', async () => {
    const { code, stdout } = await runMain(STARTABLE)
    expect(code).toBe(0)
    expect(stdout).not.toContain('nobody:secret')
  })
})
