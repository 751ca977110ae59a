import { setTimeout as sleep } from 'node:timers/promises'
import { parseEnv } from '@tidings/runtime/env'
import { runMain } from '@tidings/runtime/run-main'
import { readWorkerEnv } from '@tidings/worker/env'
import type { Store } from '@tidings/worker/jobs/batch-writer'
import { runWorker } from '@tidings/worker/run-worker'
import { z } from 'zod'

/*
 * The real worker with one thing broken, chosen by SABOTAGE. It shows that the harness sees what it is there
 * to see.
 */

const SABOTAGES: Record<string, (store: Store) => Store> = {
  /** An event takes the process down with it. */
  'exit-on-killer': (store) => async (events) => {
    if (events.some((event) => event.provider === 'killer')) process.kill(process.pid, 'SIGKILL')
    return store(events)
  },
  /** Says "stored" first and stores later: what a worker does that completes before the commit. */
  'complete-before-commit': (store) => async (events) => {
    void sleep(400).then(() => store(events))
    return events.map(() => 'stored' as const)
  },
}

await runMain(async () => {
  const { SABOTAGE } = parseEnv(z.object({ SABOTAGE: z.enum(Object.keys(SABOTAGES)) }), process.env)
  await runWorker(readWorkerEnv(), { wrapStore: (store) => SABOTAGES[SABOTAGE]?.(store) ?? store })
})
