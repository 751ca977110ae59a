import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { judge, Ledger, type Verdict } from './ledger.ts'
import { startLoad } from './load.ts'
import { createRandom } from './random.ts'
import { raiseForProvider } from './rows/events.ts'
import { readStores, untilRest } from './settle.ts'
import { createWorld, type Servers, type System, startServers } from './world.ts'

describe('the ledger', () => {
  const ledgerOf = (knowledge: 'acknowledged' | 'in doubt' | 'refused') => {
    const ledger = new Ledger()
    ledger.send('a')
    ledger.learn('a', knowledge)
    return ledger
  }
  const stores = (rows: number, dead: number) => ({
    rows: new Map(rows ? [['a', rows]] : []),
    dead: new Map(
      dead ? [['a', Array.from({ length: dead }, () => ({ reason: 'stalled', attempts: 1 }))]] : [],
    ),
  })

  it('calls acknowledged and found nowhere lost, and in doubt not', () => {
    expect(judge(ledgerOf('acknowledged'), stores(0, 0)).lost).toEqual(['a'])
    expect(judge(ledgerOf('in doubt'), stores(0, 0)).lost).toEqual([])
  })

  it('calls two rows, two dead letters, or one of each, doubled', () => {
    expect(judge(ledgerOf('acknowledged'), stores(2, 0)).doubled).toEqual(['a'])
    expect(judge(ledgerOf('acknowledged'), stores(0, 2)).doubled).toEqual(['a'])
    expect(judge(ledgerOf('in doubt'), stores(1, 1)).doubled).toEqual(['a'])
    expect(judge(ledgerOf('acknowledged'), stores(1, 0)).doubled).toEqual([])
    expect(judge(ledgerOf('acknowledged'), stores(0, 1)).doubled).toEqual([])
  })

  it('calls what was refused or never sent, and is there, unexplained', () => {
    expect(judge(ledgerOf('refused'), stores(1, 0)).unexplained).toEqual(['a'])
    expect(judge(new Ledger(), stores(0, 1)).unexplained).toEqual(['a'])
  })

  it('calls a good event among the dead misplaced', () => {
    expect(judge(ledgerOf('acknowledged'), stores(0, 1)).misplaced).toEqual(['a'])
  })
})

const hasRedis = findRedisServer(process.env.PATH) !== undefined

describe.skipIf(!hasRedis)(
  `the harness against a broken hand-off${hasRedis ? '' : ': NO REDIS ON THE PATH'}`,
  () => {
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

    /** Posts for a while, kills the worker when `struck` says so, lets it recover, and judges. */
    async function play(world: System, provider: string, struck: () => Promise<boolean>): Promise<Verdict> {
      const [worker] = world.workers
      try {
        await world.startAll()
        const ledger = new Ledger()
        const load = startLoad({
          targets: () => world.apis.map((api) => api.url),
          serviceKey: world.serviceKey,
          ledger,
          random: createRandom(7),
          label: world.databaseName,
          rate: 60,
          decorate: (n) => (n % 20 === 1 ? { body: { provider }, destiny: 'either' } : undefined),
        })
        await sleep(500)
        await waitFor('the moment to strike', struck, { timeoutMs: 90_000, intervalMs: 10 })
        await worker?.kill9()
        await load.stop()
        await worker?.start()
        await untilRest(world, 15_000)
        return judge(ledger, await readStores(world))
      } finally {
        await world.stop()
      }
    }

    it('sees the loss of a worker that completes before the commit', { timeout: 240_000 }, async () => {
      const world = await createWorld(servers, {
        name: 'broken-commit',
        workerMain: 'chaos/src/sabotaged-worker.ts',
        env: { SABOTAGE: 'complete-before-commit' },
      })
      const rows = async () => (await readStores(world)).rows.size
      const verdict = await play(world, 'any', async () => (await rows()) > 20)
      expect(verdict.lost.length).toBeGreaterThan(0)
    })

    it('sees the loss of a worker that buries only in a `failed` listener', {
      timeout: 240_000,
    }, async () => {
      const world = await createWorld(servers, {
        name: 'broken-listener',
        workerMain: 'chaos/src/listener-worker.ts',
      })
      await raiseForProvider(world, 'unlucky')
      const verdict = await play(world, 'unlucky', async () => (await world.queue.getFailedCount()) > 0)
      expect(verdict.lost.length).toBeGreaterThan(0)
    })
  },
)
