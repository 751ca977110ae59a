import { runClosedLoop } from './closed-loop.ts'
import { runPaced } from './paced.ts'
import type { LoadPlan } from './protocol.ts'
import { warmUp } from './warm-up.ts'

// Runs one load: receives a LoadPlan over IPC, answers with a LoadReport, and ends when the channel closes.
process.once('message', async (message) => {
  const plan = message as LoadPlan
  await warmUp(plan)
  const report =
    plan.perSecond === undefined ? await runClosedLoop(plan) : await runPaced(plan, plan.perSecond)
  process.send?.(report, () => process.disconnect())
})
process.once('disconnect', () => process.exit(0))
