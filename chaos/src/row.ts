import { judge, Ledger } from './ledger.ts'
import { type Load, type LoadOptions, startLoad } from './load.ts'
import type { Random } from './random.ts'
import { readStores, untilRest } from './settle.ts'
import { createWorld, type Servers, type System, type WorldOptions } from './world.ts'

/** One line of the fault matrix. */
export interface Row {
  name: string
  fault: string
  /** In the short form that npm test runs. */
  short: boolean
  /** Which queue it is about; Redis unless said otherwise. */
  queue?: 'redis' | 'postgres'
  run(stage: Stage): Promise<Check[]>
}

/** Something that must hold, and what was seen. */
export interface Check {
  must: string
  ok: boolean
  seen: string
}

/** What a row works with. */
export interface Stage {
  servers: Servers
  random: Random
  /** Short rows use fewer repetitions and shorter outages. */
  short: boolean
  /** How long the nemesis goes on. */
  minutes: number
  progress(text: string): void
  createWorld(options?: Omit<WorldOptions, 'name'>): Promise<System>
}

export interface Run {
  world: System
  ledger: Ledger
  load: Load
}

/**
 * Starts a world under load, lets `fault` do its worst, then stops the load, waits for rest and holds the
 * client's ledger against both stores.
 */
export async function playUnderLoad(
  stage: Stage,
  options: Omit<WorldOptions, 'name'> & {
    load?: Partial<LoadOptions>
    restWithinMs?: number
    before?(world: System): Promise<void>
  },
  fault: (play: Run) => Promise<Check[] | undefined>,
): Promise<Check[]> {
  const world = await stage.createWorld(options)
  try {
    await options.before?.(world)
    await world.startAll()
    const ledger = new Ledger()
    const load = startLoad({
      targets: () => world.apis.map((api) => api.url),
      serviceKey: world.serviceKey,
      userIds: world.userIds,
      ledger,
      random: stage.random,
      label: world.databaseName,
      // The short form shares its machine with other tests, and starts many processes.
      ...(stage.short && { rate: 120 }),
      ...options.load,
    })
    const checks = (await fault({ world, ledger, load })) ?? []
    stage.progress('settling')
    await load.stop()
    return [...(await settleAndJudge(world, ledger, options.restWithinMs)), ...checks]
  } finally {
    await world.stop()
  }
}

/** The checks that every row shares: nothing lost, nothing doubled, nothing that nobody sent. */
export async function settleAndJudge(world: System, ledger: Ledger, restWithinMs = 60_000): Promise<Check[]> {
  const restMs = await untilRest(world, restWithinMs)
  const verdict = judge(ledger, await readStores(world))
  const list = (ids: string[]) => (ids.length === 0 ? '0' : `${ids.length}, such as ${ids[0]}`)
  return [
    { must: 'acknowledged > 0', ok: verdict.acknowledged > 0, seen: String(verdict.acknowledged) },
    { must: 'lost 0', ok: verdict.lost.length === 0, seen: list(verdict.lost) },
    { must: 'doubled 0', ok: verdict.doubled.length === 0, seen: list(verdict.doubled) },
    { must: 'unexplained 0', ok: verdict.unexplained.length === 0, seen: list(verdict.unexplained) },
    { must: 'misplaced 0', ok: verdict.misplaced.length === 0, seen: list(verdict.misplaced) },
    {
      must: `at rest within ${restWithinMs / 1000} s`,
      ok: restMs !== undefined,
      seen: restMs === undefined ? 'not' : `${(restMs / 1000).toFixed(1)} s`,
    },
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
    createWorld: (world = {}) =>
      createWorld(servers, { name: row.name, queue: row.queue ?? 'redis', ...world }),
  }
}
