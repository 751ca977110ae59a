import { randomUUID } from 'node:crypto'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { prepareQueueBackend } from '@tidings/queue/backend'
import { publishMessages, withOutboundQueue } from '@tidings/queue/outbound-queue'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { startOutbound } from './start-outbound.ts'

describeBackends('outbound messages that no e-mail service took', (kind) => {
  const releaser = useReleaser()

  it('leave the queue with their row, a week after they expired', async () => {
    const { database: db, url } = await createTestDatabase(releaser)
    const backend = await createTestBackend(kind, releaser, { url })
    await prepareQueueBackend(backend)
    const userId = randomUUID()
    await db.pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')",
      [userId],
    )
    const message = { kind: 'new_device', userId, to: 'a@example.com' } as const
    const [old, recent] = [await addMessage(db, message), await addMessage(db, message)]
    await db.pool.query("UPDATE outbound_messages SET state = 'queued'")
    await db.pool.query("UPDATE outbound_messages SET expires_at = now() - interval '8 days' WHERE id = $1", [
      old,
    ])
    const jobs = [old, recent].map((id) => ({
      ...{
        v: 1 as const,
        id,
        kind: message.kind,
        to: message.to,
        user_id: userId,
        locale: 'en',
        variables: {},
      },
      expires_at: new Date().toISOString(),
    }))
    const withQueue = <T>(use: Parameters<typeof withOutboundQueue<T>>[2]) =>
      withOutboundQueue(backend, () => {}, use)
    await withQueue((queue) => publishMessages(queue, jobs))

    const log = createLogger('test', 'silent')
    const lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    await startOutbound({
      ...{ db, backend, lifecycle, log, registry: new Registry() },
      linkBaseUrl: 'https://app.example.com',
      isQueueWritable: () => true,
    })
    const listJobs = async () => (await withQueue((queue) => queue.getJobs(['waiting']))).map(({ id }) => id)
    await waitFor('the old job to be gone', async () => (await listJobs()).length === 1)
    expect(await listJobs()).toEqual([recent])
    expect((await db.pool.query('SELECT id FROM outbound_messages')).rows).toEqual([{ id: recent }])
  })
})
