import { setTimeout as sleep } from 'node:timers/promises'
import { parseEnv } from '@tidings/runtime/env'
import { runMain } from '@tidings/runtime/run-main'
import { readWorkerEnv } from '@tidings/worker/env'
import type { Store } from '@tidings/worker/jobs/batch-writer'
import { runWorker } from '@tidings/worker/run-worker'
import { z } from 'zod'

/*
 * The real worker with one defect, which SABOTAGE selects. It proves that the harness detects such a defect.
 */

/** Longer than any test, which kills the worker meanwhile. */
const LATE_MS = 120_000

const SABOTAGES: Record<string, (store: Store) => Store> = {
  /** An event of this provider kills the process. */
  'exit-on-killer': (store) => async (events) => {
    if (events.some((event) => event.provider === 'killer')) process.kill(process.pid, 'SIGKILL')
    return store(events)
  },
  /** Reports events of one provider as stored before the commit, so that the worker completes their jobs too early. */
  'complete-before-commit': (store) => async (events) => {
    const late = events.filter((event) => event.provider === 'late')
    if (late.length > 0) void sleep(LATE_MS).then(() => store(late))
    const others = events.filter((event) => event.provider !== 'late')
    const outcomes = others.length > 0 ? await store(others) : []
    return events.map((event) => (event.provider === 'late' ? 'stored' : (outcomes.shift() ?? 'stored')))
  },
}

await runMain(async () => {
  const { SABOTAGE } = parseEnv(z.object({ SABOTAGE: z.enum(Object.keys(SABOTAGES)) }), process.env)
  await runWorker(readWorkerEnv(), { wrapStore: (store) => SABOTAGES[SABOTAGE]?.(store) ?? store })
})
