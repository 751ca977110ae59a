import { openRedis } from '@tidings/queue/open-redis'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeRedis, startTestRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { DelayedError } from 'bullmq'
import { expect, it } from 'vitest'
import { createContext, openJobByJob, TOKEN, UNKNOWN_USER, writerOf } from '../testing/job-by-job.ts'
import { processEnvelope } from './process-envelope.ts'

describeRedis('a full Redis', () => {
  const releaser = useReleaser()

  it('costs no event an attempt or its reason, and gets few requests for jobs', async () => {
    // A separate server: the other test files must not find their Redis full.
    const server = await startTestRedis(releaser)
    const { queue, deadLetters, worker, ...jobs } = openJobByJob(
      { kind: 'redis', url: server.url, prefix: 'full' },
      releaser,
    )
    const redis = releaser.add(
      openRedis(server, 'patient', () => {}),
      (it) => it.disconnect(),
    )
    const setMemory = (limit: string) => redis.config('SET', 'maxmemory', limit)
    const context = createContext({
      writer: writerOf(UNKNOWN_USER),
      bury: (failedEvents) => bury(deadLetters, failedEvents),
    })

    await jobs.enqueue([makeEvent()])
    const job = await jobs.takeJob()
    await setMemory('1mb')
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    await setMemory('0')
    await (await queue.getJob(job.id ?? ''))?.promote()
    await processEnvelope(await jobs.takeJob(), TOKEN, context)
    const letters = await deadLetters.getJobs(['prioritized'])
    expect(letters.map(({ data }) => data)).toMatchObject([{ reason: 'unknown_user', attempts: 1 }])

    await setMemory('1mb')
    let refused = 0
    worker.on('error', () => refused++)
    const startedAt = performance.now()
    void worker.run()
    await waitFor('three refused requests', () => refused >= 3)
    expect(performance.now() - startedAt).toBeGreaterThan(1_000)
    await setMemory('0')
  })
})
