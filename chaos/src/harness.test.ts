import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareWithStores, Ledger } from './ledger.ts'
import { createRandom } from './random.ts'
import { startSystemLoad } from './row.ts'
import { raiseForProvider } from './rows/events.ts'
import { countUnfinished, readStores } from './settle.ts'
import { createSystem, type Servers, type System, startServers } from './system.ts'

const LOAD_MS = 1_000
const hasRedis = findRedisServer(process.env.PATH) !== undefined

describe
  .skipIf(!hasRedis)
  .concurrent(`the harness against a broken worker${hasRedis ? '' : ': NO REDIS ON THE PATH'}`, () => {
    let servers: Servers
    let dir: string
    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), 'tidings-harness-'))
      servers = await startServers(dir)
    })
    afterAll(async () => {
      await servers.stop()
      await rm(dir, { recursive: true, force: true })
    })

    /**
     * Posts for a second, some events with `provider`; waits until the worker is done with all of them; then kills and
     * restarts it. Both broken workers hold their events of `provider` in memory only for minutes, so the kill always
     * comes in time.
     *
     * @returns the lost events, and the acknowledged events of `provider`.
     */
    async function killBrokenWorker(system: System, provider: string) {
      const [worker] = system.workers
      try {
        await system.startAll()
        const ledger = new Ledger()
        const special = (n: number) => n % 20 === 1
        const load = startSystemLoad({ random: createRandom(7) }, system, ledger, {
          rate: 60,
          decorate: (n) => (special(n) ? { body: { provider }, expected: 'either' } : undefined),
        })
        await sleep(LOAD_MS)
        await load.stop()
        await waitUntilIdle(system)
        await worker?.kill9()
        await worker?.start()
        await worker?.untilReady()
        await waitUntilIdle(system)
        const marked = ledger.acknowledged().filter((id) => special(Number(id.split('-').at(-1))))
        return {
          lost: compareWithStores(ledger, await readStores(system)).lost.toSorted(),
          marked: marked.toSorted(),
        }
      } finally {
        await system.stop()
      }
    }

    const waitUntilIdle = (system: System) =>
      waitFor('the worker to be idle', async () => (await countUnfinished(system)) === 0, {
        timeoutMs: 90_000,
      })

    it('detects the events that a worker loses when it completes jobs before the commit', async () => {
      const system = await createSystem(servers, {
        name: 'broken-commit',
        workerMain: 'chaos/src/sabotaged-worker.ts',
        env: { SABOTAGE: 'complete-before-commit' },
      })
      const { lost, marked } = await killBrokenWorker(system, 'late')
      expect(marked.length).toBeGreaterThan(0)
      expect(lost).toEqual(marked)
    })

    it('detects the events that a worker loses when only a `failed` listener writes dead letters', async () => {
      const system = await createSystem(servers, {
        name: 'broken-listener',
        workerMain: 'chaos/src/listener-worker.ts',
      })
      await raiseForProvider(system, 'unlucky')
      const { lost, marked } = await killBrokenWorker(system, 'unlucky')
      expect(marked.length).toBeGreaterThan(0)
      // A failed job loses all events of its envelope.
      expect(lost).toEqual(expect.arrayContaining(marked))
    })
  })
