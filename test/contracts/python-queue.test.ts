import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ENVELOPE_JOB, STATUS_QUEUE } from '@tidings/queue/policy'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { TestWorker } from '@tidings/worker/testing/test-worker'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { describePython, runPython } from './run-python.ts'

/**
 * Stands for BullMQ's client for Python, which npm does not have: it prints what the program adds. The real one was
 * tried by hand; docs/producers.md says which.
 */
const STAND_IN = `
import json

class Queue:
    def __init__(self, name, options):
        self.name, self.prefix = name, options["prefix"]

    async def add(self, name, data):
        print(json.dumps({"queue": self.name, "prefix": self.prefix, "name": name, "data": data}))

    async def close(self):
        pass
`
const jobSchema = z.object({ queue: z.string(), prefix: z.string(), name: z.string(), data: z.unknown() })

/** The options that the client adds to a job of its own accord. */
const CLIENT_OPTIONS = { attempts: 0, delay: 0 }

describePython("the program of docs/producers.md for BullMQ's client for Python", () => {
  const releaser = useReleaser()

  it('adds an envelope and a bare event, which the worker stores as one row', async () => {
    const folder = await makeTestFolder(releaser)
    await writeFile(join(folder, 'bullmq.py'), STAND_IN)
    const page = await readFile(new URL('../../docs/producers.md', import.meta.url), 'utf8')
    const program = page.split('```python\n')[1]?.split('```')[0] ?? ''
    const output = await runPython(['-c', program], {
      env: { PYTHONPATH: folder, REDIS_URL: 'redis://127.0.0.1:1' },
    })
    const jobs = output
      .trim()
      .split('\n')
      .map((line) => jobSchema.parse(JSON.parse(line)))
    for (const job of jobs)
      expect(job).toMatchObject({ queue: STATUS_QUEUE, prefix: 'tidings', name: ENVELOPE_JOB })
    expect(jobs).toHaveLength(2)

    const worker = await TestWorker.start('postgres', releaser)
    for (const { name, data } of jobs) await worker.queue.add(name, data, CLIENT_OPTIONS)
    await worker.untilIdle()
    const { rows } = await worker.db.pool.query(
      'SELECT notification_type, notification_id, status, source, event_id FROM notification_status',
    )
    expect(rows).toEqual([
      {
        notification_type: 'email',
        notification_id: 'order-7',
        status: 'sent',
        source: 'mailer',
        event_id: 'order-7-sent',
      },
    ])
  })
})
