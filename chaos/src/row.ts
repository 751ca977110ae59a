import { compareCounts } from '@tidings/db/events/compare-counts'
import { compareWithStores, Ledger } from './ledger.ts'
import { type Load, type LoadOptions, startLoad } from './load.ts'
import type { Random } from './random.ts'
import { readStores, waitForRest } from './settle.ts'
import { createSystem, type Servers, type System, type SystemOptions } from './system.ts'

/** One line of the fault matrix. */
export interface Row {
  name: string
  fault: string
  /** The short form, which npm test runs, has this row. */
  short: boolean
  /** The row leaves the servers and the clock alone, so the short form runs it beside others. */
  concurrent?: boolean
  /** The queue under test. Default: redis. */
  queue?: 'redis' | 'postgres'
  /** A program that the row starts. Without it the row is skipped. */
  needs?: string
  run(stage: Stage): Promise<Check[]>
}

/** A condition that must hold, and the value that was seen. */
export interface Check {
  must: string
  ok: boolean
  seen: string
}

/** What a row works with. */
export interface Stage {
  servers: Servers
  random: Random
  /** Fewer repetitions and shorter outages. */
  short: boolean
  /** Duration of the nemesis row. */
  minutes: number
  progress(text: string): void
  createSystem(options?: Omit<SystemOptions, 'name'>): Promise<System>
}

/** A system under load. */
export interface Run {
  system: System
  ledger: Ledger
  load: Load
}

/**
 * Starts a system under load and injects a fault. Then stops the load, waits for rest, and compares the client's ledger
 * with both stores.
 *
 * @param inject injects the fault and returns more checks. It may stop the load earlier.
 */
export async function runUnderLoad(
  stage: Stage,
  options: Omit<SystemOptions, 'name'> & {
    load?: Partial<LoadOptions>
    restWithinMs?: number
    before?(system: System): Promise<void>
    /** The loss is published, not judged. */
    mayLose?: boolean
  },
  inject: (run: Run) => Promise<Check[] | undefined>,
): Promise<Check[]> {
  const system = await stage.createSystem(options)
  try {
    await options.before?.(system)
    await system.startAll()
    const ledger = new Ledger()
    const load = startSystemLoad(stage, system, ledger, {
      // Rows of the short form share the cores with each other.
      ...(stage.short && { rate: 50 }),
      ...options.load,
    })
    const checks = (await inject({ system, ledger, load })) ?? []
    stage.progress('settling')
    await load.stop()
    return [...(await settleAndCompare(system, ledger, options)), ...checks]
  } finally {
    await system.stop()
  }
}

/** Starts a load on all APIs of a system. */
export function startSystemLoad(
  { random }: Pick<Stage, 'random'>,
  system: System,
  ledger: Ledger,
  options: Partial<LoadOptions> = {},
): Load {
  return startLoad({
    targets: () => system.apis.map((api) => api.url),
    serviceKey: system.serviceKey,
    userIds: system.userIds,
    ledger,
    random,
    label: system.databaseName,
    ...options,
  })
}

/** The checks that all rows share: no event is lost, doubled, unexplained or misplaced, and each is counted. */
export async function settleAndCompare(
  system: System,
  ledger: Ledger,
  { restWithinMs = 60_000, mayLose = false }: { restWithinMs?: number; mayLose?: boolean } = {},
): Promise<Check[]> {
  const restMs = await waitForRest(system, restWithinMs)
  const verdict = compareWithStores(ledger, await readStores(system))
  const { counted, differing } = await compareCounts(system.db)
  const none = (kind: 'lost' | 'doubled' | 'unexplained' | 'misplaced') => {
    const ids = verdict[kind]
    return check(`${kind} 0`, ids.length === 0, ids.length === 0 ? 0 : `${ids.length}, such as ${ids[0]}`)
  }
  return [
    check('acknowledged > 0', verdict.acknowledged > 0, verdict.acknowledged),
    mayLose ? check('lost', true, verdict.lost.length) : none('lost'),
    none('doubled'),
    none('unexplained'),
    none('misplaced'),
    check(
      'counts are the rows',
      differing.length === 0,
      differing.length === 0 ? counted : JSON.stringify(differing),
    ),
    check(
      `at rest within ${restWithinMs / 1000} s`,
      restMs !== undefined,
      restMs === undefined ? 'not' : `${(restMs / 1000).toFixed(1)} s`,
    ),
  ]
}

export function check(must: string, ok: boolean, seen: unknown): Check {
  return { must, ok, seen: String(seen) }
}

export function createStage(
  servers: Servers,
  row: Row,
  options: Pick<Stage, 'random' | 'short' | 'minutes' | 'progress'>,
): Stage {
  return {
    ...options,
    servers,
    createSystem: (system = {}) =>
      createSystem(servers, { name: row.name, queue: row.queue ?? 'redis', ...system }),
  }
}
