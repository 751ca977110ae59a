import { BACKLOG } from './backlog.ts'
import { GROWTH } from './growth.ts'
import { INGEST_BATCH } from './ingest-batch.ts'
import { INGEST_SINGLE } from './ingest-single.ts'
import { LOGIN } from './login.ts'
import { READ_USER } from './read-user.ts'
import { SCALE_OUT } from './scale-out.ts'
import type { Scenario } from './scenario.ts'

export const SCENARIOS: readonly Scenario[] = [
  INGEST_SINGLE,
  INGEST_BATCH,
  READ_USER,
  LOGIN,
  BACKLOG,
  GROWTH,
  SCALE_OUT,
]

/** @throws naming the scenarios there are, when one is not known. */
export function findScenarios(names: readonly string[] | undefined): readonly Scenario[] {
  if (names === undefined) return SCENARIOS
  return names.map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name)
    if (!found)
      throw new Error(`There is no scenario ${name}. There are: ${SCENARIOS.map((s) => s.name).join(', ')}`)
    return found
  })
}
