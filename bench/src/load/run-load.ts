import { fileURLToPath } from 'node:url'
import { forkForResult } from '../processes.ts'
import type { LoadPlan, LoadReport } from './protocol.ts'

const LOAD_PROCESS = fileURLToPath(new URL('./main.ts', import.meta.url))
/** Time to build requests before the load, and for late answers after it. */
const SLACK_MS = 30_000

/** Runs one load in its own process, so that the benchmark's work does not delay it. */
export function runLoad(plan: LoadPlan): Promise<LoadReport> {
  return forkForResult<LoadReport>(LOAD_PROCESS, [], {}, plan.seconds * 1_000 + SLACK_MS, plan)
}
