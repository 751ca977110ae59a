import { randomUUID } from 'node:crypto'
import { openQueue } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { publishMessages } from '@tidings/queue/outbound-queue'
import { OUTBOUND_QUEUE } from '@tidings/queue/policy'
import type { OutboundJob } from '@tidings/shared/outbound-message'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { Worker as Worker5, type WorkerOptions as WorkerOptions5 } from 'bullmq-5'
import { expect, it } from 'vitest'
import { plainOptions } from '../testing/open-producer.ts'

describeRedis('a consumer with BullMQ 5', () => {
  const releaser = useReleaser()

  it('takes a message, tries again after a failure, and leaves nothing of it', async () => {
    const backend = await createTestBackend('redis', releaser)
    if (backend.kind !== 'redis') throw new Error('Not a Redis backend')
    const redis = openRedis(backend, 'patient', () => {})
    releaser.onRelease(() => redis.disconnect())
    const queue = openQueue<OutboundJob>(OUTBOUND_QUEUE, backend, redis, { onError: () => {} })
    releaser.onRelease(() => queue.close())
    const message: OutboundJob = {
      v: 1,
      id: randomUUID(),
      kind: 'new_device',
      to: 'ann@example.com',
      user_id: randomUUID(),
      locale: 'en',
      variables: {},
      expires_at: new Date(Date.now() + 60_000).toISOString(),
    }
    await publishMessages(queue, [message])
    const taken: unknown[] = []
    const consumer = new Worker5(
      OUTBOUND_QUEUE,
      async (job) => {
        taken.push(job.data)
        if (taken.length === 1) throw new Error('busy')
      },
      // Its types are those of an older ioredis.
      plainOptions(backend, OUTBOUND_QUEUE, releaser) as object as WorkerOptions5,
    )
    releaser.onRelease(() => consumer.close())
    await waitFor('the second attempt', () => taken.length === 2)
    await waitFor('the job to be gone', async () => (await queue.getJob(message.id)) === undefined)
    expect(taken).toEqual([message, message])
  })
})
