import { runClosedLoop } from './closed-loop.ts'
import { runPaced } from './paced.ts'
import type { LoadPlan } from './protocol.ts'
import { warmUp } from './warm-up.ts'

// A process of its own, so that making the load never waits for the benchmark's own work. It gets its plan
// over IPC, answers with a report, and ends with the channel.
process.once('message', async (message) => {
  const plan = message as LoadPlan
  await warmUp(plan)
  const report =
    plan.perSecond === undefined ? await runClosedLoop(plan) : await runPaced(plan, plan.perSecond)
  process.send?.(report, () => process.disconnect())
})
process.once('disconnect', () => process.exit(0))
