import { markQueued } from '@tidings/db/users/claim-messages'
import { useToken } from '@tidings/db/users/one-time-tokens'
import { addMessage, countPendingMessages } from '@tidings/db/users/outbound-messages'
import { openQueue, prepareQueueBackend } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { type OutboundQueue, publishMessages, removeMessages } from '@tidings/queue/outbound-queue'
import { OUTBOUND_QUEUE } from '@tidings/queue/policy'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { OutboundRelay, type RelayOptions } from './relay.ts'

const USER = '00000000-0000-4000-8000-000000000001'
const TO = 'ann@example.com'
const POLL = { intervalMs: 10 }

describeBackends('the relay of outbound messages', (kind) => {
  const releaser = useReleaser()
  let test: TestDatabase
  let queue: OutboundQueue
  let counted: string[]
  let errors: unknown[]

  beforeAll(async () => {
    test = await createTestDatabase(releaser)
    const backend = await createTestBackend(kind, releaser, test)
    await prepareQueueBackend(backend)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', () => {}) : undefined
    releaser.onRelease(() => redis?.disconnect())
    queue = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => queue.close())
  })
  beforeEach(async () => {
    counted = []
    errors = []
    await queue.obliterate({ force: true })
    const { pool } = test.database
    for (const table of ['notification_status', 'outbound_messages', 'users'])
      await pool.query(`DELETE FROM ${table}`)
    await pool.query("INSERT INTO users (id, email, name, password) VALUES ($1, $2, 'Ann', '!old')", [
      USER,
      TO,
    ])
  })

  function startRelay(options: Partial<RelayOptions> = {}): OutboundRelay {
    return new OutboundRelay({
      db: test.database,
      linkBaseUrl: 'https://app.example.com',
      publish: (jobs) => publishMessages(queue, jobs),
      remove: (ids) => removeMessages(queue, ids),
      isQueueWritable: () => true,
      count: (messageKind, outcome) => void counted.push(`${messageKind} ${outcome}`),
      onError: (error) => void errors.push(error),
      pollIntervalMs: 10,
      ...options,
    })
  }
  /** Runs a relay until no message is pending. */
  async function relayAll(options: Partial<RelayOptions> = {}): Promise<void> {
    const relay = startRelay(options)
    try {
      await waitFor(
        'no pending message',
        async () => (await countPendingMessages(test.database)).pending === 0,
        POLL,
      )
    } finally {
      await relay.close()
    }
  }
  const listJobs = () => queue.getJobs(['waiting', 'delayed', 'prioritized', 'active', 'failed'])
  const addReset = () =>
    addMessage(test.database, { kind: 'password_reset', userId: null, to: TO, variables: {} })
  const endClaims = () =>
    test.database.pool.query("UPDATE outbound_messages SET claimed_until = now() - interval '1 second'")
  const useLink = ({ data }: { data: OutboundJob }) =>
    useToken(
      test.database,
      'password_reset',
      new URL(data.variables.link ?? '').searchParams.get('token') ?? '',
    )

  it('puts a message on the queue as documented, under its own id, with a link that works', async () => {
    const id = await addReset()
    await relayAll()
    const [job, ...others] = await listJobs()
    expect(others).toEqual([])
    expect([job?.id, job?.name]).toEqual([id, 'message'])
    expect(job?.opts).toMatchObject({ attempts: 11, removeOnComplete: true, removeOnFail: true })
    expect(job?.data).toEqual({
      v: 1,
      id,
      kind: 'password_reset',
      to: TO,
      user_id: USER,
      locale: 'en',
      variables: {
        link: expect.stringMatching(/^https:\/\/app\.example\.com\/reset-password\?token=[\w-]{43}$/),
      },
      expires_at: expect.stringMatching(/Z$/),
    })
    expect(counted).toEqual(['password_reset queued'])
    expect(job && (await useLink(job))).toEqual({ userId: USER, email: TO })
  })

  it('drains many messages, with several relays at once, and puts each on the queue once', async () => {
    await test.database.pool.query(
      `INSERT INTO outbound_messages (id, kind, user_id, "to", locale, variables, expires_at)
       SELECT gen_random_uuid(), 'new_device', $1, $2, 'en', '{}', now() + interval '1 day'
       FROM generate_series(1, 350)`,
      [USER, TO],
    )
    let published = 0
    const publish = (jobs: readonly OutboundJob[]) => {
      published += jobs.length
      return publishMessages(queue, jobs)
    }
    await Promise.all([relayAll({ publish }), relayAll({ publish }), relayAll({ publish })])
    await waitFor('each message', async () => (await listJobs()).length >= 350, POLL)
    expect(await listJobs()).toHaveLength(350)
    // A relay leaves a batch that takes too long on a busy machine to the next one.
    expect(published).toBeLessThanOrEqual(350 + 100 * errors.length)
  })

  it('killed between claim and publish, leaves the message to another relay', async () => {
    const id = await addReset()
    const killed = startRelay({ publish: () => Promise.reject(new Error('killed')) })
    await waitFor('the failure', () => errors.length > 0, POLL)
    await killed.close()
    expect(await listJobs()).toEqual([])
    await endClaims()
    await relayAll()
    const jobs = await listJobs()
    expect(jobs.map((job) => job.id)).toEqual([id])
    expect(jobs[0] && (await useLink(jobs[0]))).toEqual({ userId: USER, email: TO })
  })

  it('killed between publish and markQueued, makes another relay add nothing, and the link works', async () => {
    const id = await addReset()
    const killed = startRelay({
      async publish(jobs) {
        await publishMessages(queue, jobs)
        throw new Error('killed')
      },
    })
    await waitFor('the failure', () => errors.length > 0, POLL)
    await killed.close()
    const before = (await listJobs()).map(({ data }) => data)
    await endClaims()
    await relayAll()
    const jobs = await listJobs()
    expect(jobs.map(({ data }) => data)).toEqual(before)
    expect(jobs.map((job) => job.id)).toEqual([id])
    expect(jobs[0] && (await useLink(jobs[0]))).toEqual({ userId: USER, email: TO })
  })

  it('does not send a message again that was sent before its killed relay marked it', async () => {
    const id = await addReset()
    await test.database.pool.query(
      `UPDATE outbound_messages SET user_id = '${USER}', claimed_until = now() - interval '1 second'`,
    )
    await test.database.pool.query(
      `INSERT INTO notification_status (id, "timestamp", received_at, notification_type, status, notification_id, source)
       VALUES (gen_random_uuid(), now(), now(), 'email', 'sent', $1, 'email-service')`,
      [id],
    )
    await relayAll()
    expect(await listJobs()).toEqual([])
    expect(counted).toEqual(['password_reset reported'])
  })

  it('takes a job off the queue again when its user was erased meanwhile', async () => {
    await addReset()
    const relay = startRelay({
      async publish(jobs) {
        await publishMessages(queue, jobs)
        await test.database.pool.query('DELETE FROM users')
      },
    })
    await waitFor('the message to be dropped', () => counted.length === 1, POLL)
    await relay.close()
    expect(counted).toEqual(['password_reset dropped'])
    expect(await listJobs()).toEqual([])
  })

  it('does not publish again when PostgreSQL was away after the publishing', async () => {
    const id = await addReset()
    await test.database.pool.query(
      "ALTER TABLE outbound_messages ADD CONSTRAINT away CHECK (state <> 'queued') NOT VALID",
    )
    let published = 0
    const relay = startRelay({
      publish(jobs) {
        published += jobs.length
        return publishMessages(queue, jobs)
      },
    })
    try {
      await waitFor('several failures', () => errors.length >= 3, POLL)
      await endClaims()
    } finally {
      await test.database.pool.query('ALTER TABLE outbound_messages DROP CONSTRAINT away')
    }
    await waitFor('the message to be marked', () => counted.length === 1, POLL)
    await relay.close()
    expect(published).toBe(1)
    expect((await listJobs()).map((job) => job.id)).toEqual([id])
    expect(await markQueued(test.database, [id])).toEqual([id])
  })

  it('claims nothing while the queue takes no writes', async () => {
    await addReset()
    let asked = 0
    const relay = startRelay({ isQueueWritable: () => ++asked > 3 })
    await waitFor('the message to be queued', () => counted.length === 1, POLL)
    await relay.close()
    expect(asked).toBeGreaterThan(3)
    const { rows } = await test.database.pool.query('SELECT count(*)::int FROM one_time_tokens')
    expect(rows).toEqual([{ count: 1 }])
  })

  it('does not queue what expired', async () => {
    await addReset()
    await test.database.pool.query("UPDATE outbound_messages SET expires_at = now() - interval '1 second'")
    await relayAll()
    expect([counted, await listJobs()]).toEqual([['password_reset expired'], []])
  })
})
