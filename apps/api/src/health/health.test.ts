import { openQueue } from '@tidings/queue/backend'
import { DEAD_LETTER_JOB_OPTIONS, DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { sendRaw } from '../testing/raw-http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { createHealthProbes } from './probes.ts'

describe('health over HTTP', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser)
  })

  it.each(['/health', '/health/'])('has the shape of the Django service at %s', async (path) => {
    const response = await fetch(`${api.apiUrl}${path}`)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      status: 'healthy',
      service: 'tidings',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      dependencies: { database: 'healthy', redis: 'healthy' },
    })
  })

  it('is degraded while an event or a dead letter waits for too long, and shows the ages as metrics', async () => {
    const other = await startTestApi(releaser)
    const onError = () => {}
    const open = (name: string) =>
      releaser.add(openQueue<object>(name, other.backend, undefined, { onError }), (queue) => queue.close())
    const untilStatus = (status: string) =>
      waitFor(`health to be ${status}`, async () => {
        const response = await fetch(`${other.apiUrl}/health/`)
        expect(await response.json()).toMatchObject({ status, dependencies: { database: 'healthy' } })
        return response.status === 200
      })
    const readAges = async () => {
      const text = await (await fetch(`${other.apiUrl}/metrics`)).text()
      return [...text.matchAll(/^(tidings_\w+_oldest_age_seconds)\{queue="([\w-]+)".* (\d+)/gm)].map(
        ([, name, queue, age]) => [name, queue, Math.round(Number(age) / 100) * 100],
      )
    }
    await untilStatus('healthy')
    const events = open(STATUS_QUEUE)
    const job = await events.add('any', {}, { timestamp: Date.now() - 400_000 })
    await untilStatus('degraded')
    expect(await readAges()).toEqual([
      ['tidings_queue_oldest_age_seconds', 'status-events', 400],
      ['tidings_dead_letters_oldest_age_seconds', 'status-events-dead', 0],
    ])
    await job.remove()
    await untilStatus('healthy')
    const dead_at = new Date(Date.now() - 8 * 86_400_000).toISOString()
    await open(DEAD_LETTER_QUEUE).add('any', { dead_at }, DEAD_LETTER_JOB_OPTIONS)
    await untilStatus('degraded')
  })

  it('shows metrics by route pattern to a direct caller', async () => {
    await fetch(`${api.apiUrl}/api/v1/users/5ec2e7-1d/?email=someone@example.com`)
    const text = await waitFor('the request to be counted', async () => {
      const metrics = await (await fetch(`${api.apiUrl}/metrics`)).text()
      return metrics.includes('route="/api/v1/users/:id",status="4xx"') && metrics
    })
    expect(text).toContain('process_resident_memory_bytes')
    expect(text).not.toMatch(/5ec2e7-1d|someone@example/)
  })

  it.each([
    'X-Forwarded-For: 203.0.113.9',
    'Forwarded: for=203.0.113.9',
    'Via: 1.1 proxy',
    'X-Real-IP: 10.0.0.1',
  ])('hides metrics from requests through a proxy (%s)', async (header) => {
    const answer = await sendRaw(api.port, [
      `GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n\r\n`,
    ])
    expect(answer.status).toBe(404)
  })
})

describe('health of stores that answer and take no writes', () => {
  const releaser = useReleaser()

  const untilHealth = (api: TestApi, status: number, body: object) =>
    waitFor('the health to change', async () => {
      const response = await fetch(`${api.apiUrl}/health/`)
      expect([response.status, await response.json()]).toEqual([status, expect.objectContaining(body)])
      return true
    })

  it('is unhealthy while the disk of PostgreSQL, which also holds the queue, is full', async () => {
    const api = await startTestApi(releaser)
    const { pool } = api.database
    await pool.query(`
      CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
      CREATE TRIGGER disk_full BEFORE INSERT ON ingest_counters FOR EACH ROW EXECUTE FUNCTION disk_full()`)
    await untilHealth(api, 503, {
      status: 'unhealthy',
      dependencies: { database: 'unhealthy', redis: 'unhealthy' },
    })
    expect((await fetch(`${api.apiUrl}/health/ready`)).status).toBe(503)
    await pool.query('DROP FUNCTION disk_full CASCADE')
    await untilHealth(api, 200, { status: 'healthy' })
  })

  describeRedis('with the queue in Redis', () => {
    it('is degraded while Redis is a read-only replica, and the API stays ready', async () => {
      const server = await startTestRedis(releaser)
      const control = releaser.add(new Redis(server.url), (connection) => connection.disconnect())
      const backend = { kind: 'redis', url: server.url, prefix: 'health' } as const
      const api = await startTestApi(releaser, {}, { backend })
      await untilHealth(api, 200, { status: 'healthy' })
      await control.replicaof('127.0.0.1', 1)
      await untilHealth(api, 200, {
        status: 'degraded',
        dependencies: { database: 'healthy', redis: 'unhealthy' },
      })
      expect((await fetch(`${api.apiUrl}/health/ready`)).status).toBe(200)
      await control.replicaof('NO', 'ONE')
      await untilHealth(api, 200, { status: 'healthy' })
    })
  })
})

describe('health probes', () => {
  it('are ready once the queue was reached, and while either store is up', async () => {
    let queue: 'up' | 'down' = 'down'
    const health = createHealthProbes({
      writeToDatabase: async () => {},
      queueState: () => queue,
      writeToQueue: async () => {},
    })
    expect(await health.isReady()).toBe(false)
    expect(await health.check()).toEqual({ database: true, queue: false })
    queue = 'up'
    expect(await health.isReady()).toBe(true)
    queue = 'down'
    expect(await health.isReady()).toBe(true)
    health.stop()
    expect(await health.isReady()).toBe(false)
  })

  it('try the database once a second and wait one second for its answer', async () => {
    let writes = 0
    const health = createHealthProbes({
      writeToDatabase: () => {
        writes++
        return new Promise(() => {})
      },
      queueState: () => 'up',
      writeToQueue: async () => {},
    })
    const startedMs = performance.now()
    const states = await Promise.all(Array.from({ length: 50 }, () => health.check()))
    // One after the other they would wait for 50 seconds.
    expect(performance.now() - startedMs).toBeLessThan(20_000)
    expect(states[0]).toEqual({ database: false, queue: true })
    expect(writes).toBe(1)
    // An attempt that hangs is not joined by a second one.
    await health.check()
    expect(writes).toBe(1)
  })
})
