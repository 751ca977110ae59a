import { fileURLToPath } from 'node:url'
import { forkForResult } from '../processes.ts'
import type { LoadPlan, LoadReport } from './protocol.ts'

const LOAD_PROCESS = fileURLToPath(new URL('./main.ts', import.meta.url))
/** Building requests before, and late answers after. */
const SLACK_MS = 30_000

/** Runs one load in its own process. */
export function runLoad(plan: LoadPlan): Promise<LoadReport> {
  return forkForResult<LoadReport>(LOAD_PROCESS, [], {}, plan.seconds * 1_000 + SLACK_MS, plan)
}
