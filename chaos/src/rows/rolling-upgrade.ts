import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { Ledger } from '../ledger.ts'
import type { ManagedProcess } from '../managed-process.ts'
import { checkOutPreviousVersion, NoPreviousVersionError } from '../previous-version.ts'
import { type Check, check, type Row, type Stage, settleAndCompare, startSystemLoad } from '../row.ts'

/** How long both versions work together. */
const TOGETHER_MS = 8_000
const SHORT_TOGETHER_MS = 2_000

/**
 * The previous commit runs on the migrated database, as in a deployment. This version's worker and API start beside it,
 * so every pair of versions works together: old API with new worker, new API with old worker. Then the old ones stop.
 */
export const rollingUpgradeRow: Row = {
  name: 'rolling-upgrade',
  fault: 'rolling upgrade from the previous commit',
  short: true,
  concurrent: true,
  needs: 'git',
  async run(stage) {
    try {
      const previous = await checkOutPreviousVersion(join(stage.servers.dir, 'previous'))
      return await upgrade(stage, previous)
    } catch (error) {
      if (!(error instanceof NoPreviousVersionError)) throw error
      process.stderr.write(`The rolling upgrade is SKIPPED: ${error.message}.\n`)
      return [check('SKIPPED', true, error.message)]
    }
  },
}

async function upgrade(
  stage: Stage,
  previous: { api: string; worker: string; commit: string },
): Promise<Check[]> {
  const system = await stage.createSystem({
    apis: 2,
    workers: 2,
    firstMains: previous,
    env: { SHUTDOWN_DELAY: '1' },
  })
  const [oldApi, newApi] = system.apis
  const [oldWorker, newWorker] = system.workers
  if (!oldApi || !newApi || !oldWorker || !newWorker) throw new Error('The system has too few processes')
  const start = async (app: ManagedProcess) => {
    await app.start()
    await app.untilReady()
  }
  try {
    await Promise.all([start(oldApi), start(oldWorker)])
    const ledger = new Ledger()
    // What a load balancer does: an API gets requests once it is ready, and none once it says that it is not.
    let targets = [oldApi.url]
    const load = startSystemLoad(stage, system, ledger, {
      targets: () => targets,
      ...(stage.short && { rate: 50 }),
    })
    await waitFor('the old version to accept events', () => ledger.answered('202') > 20)
    stage.progress('both versions')
    await Promise.all([start(newWorker), start(newApi)])
    targets = [oldApi.url, newApi.url]
    await sleep(stage.short ? SHORT_TOGETHER_MS : TOGETHER_MS)

    const workerMs = await oldWorker.terminate()
    const stopping = oldApi.terminate()
    await waitFor(
      'the old API to say that it stops',
      async () => !(await fetch(`${oldApi.url}/health/ready`)).ok,
      {
        intervalMs: 50,
      },
    )
    targets = [newApi.url]
    const apiMs = await stopping
    const before = ledger.answered('202')
    await waitFor('the new version to accept events', () => ledger.answered('202') > before + 20)
    await load.stop()
    const failed = [...ledger.answers()].filter(([kind]) => kind !== '202')
    return [
      ...(await settleAndCompare(system, ledger)),
      check('0 5xx, 0 resets', failed.length === 0, failed.length === 0 ? 0 : JSON.stringify(failed)),
      check(
        `both versions stop in order (old: ${previous.commit})`,
        oldWorker.exitCode === 0 && oldApi.exitCode === 0,
        `worker ${Math.round(workerMs)} ms, API ${Math.round(apiMs)} ms`,
      ),
    ]
  } finally {
    await system.stop()
  }
}
