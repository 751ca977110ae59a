import { prepareQueueBackend } from '@tidings/queue/backend'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  databaseVariables,
  describeRedis,
  startTestRedis,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'

const MAIN = 'apps/worker/src/main.ts'
const baseEnv = { PATH: process.env.PATH }

describe('the worker process', () => {
  const releaser = useReleaser()

  it('lists every problem of its configuration, without values, and exits with 1', async () => {
    const worker = await spawnApp({
      name: 'worker',
      main: MAIN,
      baseEnv,
      env: { DATABASE_URL: 'secret-nonsense', WORKER_PORT: '99999', LOG_LEVEL: 'loud', QUEUE_SHARDS: '0' },
    })
    expect(await worker.exited).toMatchObject({ code: 1 })
    for (const name of ['DATABASE_URL', 'WORKER_PORT', 'LOG_LEVEL', 'QUEUE_SHARDS']) {
      expect(worker.output()).toContain(name)
    }
    expect(worker.output()).not.toContain('secret-nonsense')
  })

  it('serves health and metrics until SIGTERM, then exits with 0; a second process reports the port in use', async () => {
    const database = await createTestDatabase(releaser)
    await prepareQueueBackend(await createTestBackend('postgres', releaser, database))
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'worker',
      main: MAIN,
      baseEnv,
      env: { ...databaseVariables(database), WORKER_PORT: String(port) },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    })
    releaser.add(worker, () => worker.stop())
    await worker.waitUntilReady()
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(metrics).toMatch(/^tidings_worker_taking_jobs 1$/m)
    expect(metrics).toMatch(/^tidings_dead_letters 0$/m)
    const second = await spawnApp({
      name: 'second worker',
      main: MAIN,
      baseEnv,
      env: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', WORKER_PORT: String(port) },
    })
    expect(await second.exited).toMatchObject({ code: 1 })
    expect(second.output().trim().split('\n')).toEqual([
      expect.stringContaining(`Port ${port} on 127.0.0.1 is already in use`),
    ])
    expect(await worker.stop()).toEqual({ code: 0, signal: null })
  })
})

describeRedis('the worker process while Redis does not answer', () => {
  const releaser = useReleaser()

  it('ends in one line, without a stack, when Redis refuses its password', async () => {
    const { url } = await createTestDatabase(releaser)
    const redisUrl = testRedisUrl().replace('//', '//nobody:wrong-secret@')
    const worker = await spawnApp({
      name: 'worker',
      main: MAIN,
      baseEnv,
      env: { DATABASE_URL: url, REDIS_URL: redisUrl, WORKER_PORT: String(await findFreePort()) },
    })
    expect(await worker.exited).toMatchObject({ code: 1 })
    const lines = worker.output().trim().split('\n')
    expect(lines.filter((line) => !line.startsWith('{'))).toEqual([
      expect.stringMatching(
        /^Redis refuses the worker \(WRONGPASS .*\)\. Check the user and the password of REDIS_URL\.$/,
      ),
    ])
    expect(worker.output()).not.toContain('wrong-secret')
  })

  it('still serves its metrics', async () => {
    const { url } = await createTestDatabase(releaser)
    const redis = await startTestRedis(releaser)
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'worker',
      main: MAIN,
      baseEnv,
      env: { DATABASE_URL: url, REDIS_URL: redis.url, WORKER_PORT: String(port) },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    })
    releaser.add(worker, () => worker.stop())
    await worker.waitUntilReady()
    redis.freeze()
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5_000) })
      const metrics = await answer.text()
      expect(metrics).toMatch(/^tidings_worker_taking_jobs 1$/m)
      // Never counted, so not known: not 0.
      expect(metrics).not.toMatch(/^tidings_dead_letters /m)
    } finally {
      redis.thaw()
    }
  })

  it('is unhealthy while PostgreSQL was never reached', async () => {
    const redis = await startTestRedis(releaser)
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'worker',
      main: MAIN,
      baseEnv,
      env: {
        DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
        REDIS_URL: redis.url,
        WORKER_PORT: String(port),
      },
    })
    releaser.add(worker, () => worker.stop())
    await waitFor('the worker to run', () => worker.output().includes('"msg":"taking jobs"'))
    for (const path of ['/health', '/health/ready'])
      expect((await fetch(`http://127.0.0.1:${port}${path}`)).status).toBe(503)
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(metrics).toMatch(/^tidings_worker_taking_jobs 0$/m)
    expect(metrics).toMatch(/^tidings_dead_letters 0$/m)
  })
})
