import { countLostJobs } from '@tidings/queue/bullmq/lost-jobs'
import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { ENVELOPE_JOB, STATUS_QUEUE } from '@tidings/queue/policy'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { Queue as Queue5, type QueueOptions as QueueOptions5 } from 'bullmq-5'
import { beforeEach, expect, it } from 'vitest'
import { plainOptions } from './testing/open-producer.ts'
import { TestWorker } from './testing/test-worker.ts'

describeRedis('jobs that a BullMQ 5 client left behind', () => {
  const releaser = useReleaser()
  let worker: TestWorker
  let redis: RedisConnection
  let key: (name: string) => string

  beforeEach(async () => {
    worker = await TestWorker.open('redis', releaser)
    redis = releaser.add(
      openRedis(worker.backend, 'patient', () => {}),
      (it) => it.disconnect(),
    )
    key = (name) => worker.queue.toKey(name)
  })

  const enqueueMany = async (count: number) => {
    const events = Array.from({ length: count }, () => makeEvent())
    for (const event of events) await worker.enqueue(event)
    return events
  }
  // What the scripts of BullMQ 5 do to the lists.
  const pause = async () => {
    await redis.rename(key('wait'), key('paused'))
    await redis.hset(key('meta'), 'paused', 1)
  }
  const resume = async () => {
    await redis.rename(key('paused'), key('wait'))
    await redis.hdel(key('meta'), 'paused')
  }

  it('are put back by a worker that starts, when a second pause replaced the list of the first', async () => {
    const overwritten = await enqueueMany(20)
    await pause()
    const later = await enqueueMany(5)
    await pause()
    await resume()
    expect(await redis.llen(key('wait'))).toBe(5)
    expect(await countLostJobs(redis, key(''))).toBe(20)
    await worker.start()
    await worker.untilStored(...overwritten, ...later)
    await worker.untilIdle()
    expect(await countLostJobs(redis, key(''))).toBe(0)
  })

  it('are put back when a real BullMQ 5 client adds, pauses twice and resumes', async () => {
    const { backend } = worker
    if (backend.kind !== 'redis') throw new Error('This suite runs on Redis')
    // Its types are those of an older ioredis.
    const options = plainOptions(backend, STATUS_QUEUE, releaser) as object as QueueOptions5
    const client = new Queue5(STATUS_QUEUE, options)
    releaser.onRelease(() => client.close())
    const overwritten = Array.from({ length: 5 }, () => makeEvent())
    for (const event of overwritten) await client.add(ENVELOPE_JOB, { v: 1, events: [event] })
    await client.pause()
    const later = await enqueueMany(3)
    await client.pause()
    await client.resume()
    expect(await countLostJobs(redis, key(''))).toBe(5)
    await worker.start()
    await worker.untilStored(...overwritten, ...later)
    const last = makeEvent()
    await client.add(ENVELOPE_JOB, { v: 1, events: [last] })
    await worker.untilStored(last)
  })

  it('are taken from the list of a paused queue once it is resumed', async () => {
    await worker.start()
    await worker.queue.pause()
    const events = await enqueueMany(3)
    await redis.rename(key('wait'), key('paused'))
    await redis.hdel(key('meta'), 'paused')
    await worker.untilStored(...events)
  })

  it('are left alone where they are in a list', async () => {
    const delayed = await worker.queue.add('any', { v: 1, events: [makeEvent()] }, { delay: 3_600_000 })
    await worker.start()
    const events = await enqueueMany(3)
    await worker.untilStored(...events)
    expect(await worker.queue.getDelayedCount()).toBe(1)
    expect(await (await worker.queue.getJob(delayed.id ?? ''))?.getState()).toBe('delayed')
  })
})
