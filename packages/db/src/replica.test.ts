import { type PostgresServer, startPostgres } from '@tidings/stack/servers/postgres'
import { promote, startStandby } from '@tidings/stack/servers/postgres-standby'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy, type TcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from './database.ts'
import { Replica } from './replica.ts'

describe('reads from a replica', () => {
  const releaser = useReleaser()
  let servers: { primary: PostgresServer; standby: PostgresServer }
  let proxy: TcpProxy
  let primary: Database
  let replica: Database
  let checks: { primary: Database; replica: Database }
  let reads: Replica
  /** What it said: that the replica is used, or why not. */
  let changes: string[]

  beforeAll(async () => {
    const [primaryDir, standbyDir] = [await makeTestFolder(releaser), await makeTestFolder(releaser)]
    const settings = { shared_buffers: '16MB' }
    const server = await startPostgres({ dataDir: primaryDir, durable: false, settings })
    releaser.onRelease(() => server.stop('immediate'))
    const standby = await startStandby({
      primary: server,
      primaryDir,
      dataDir: standbyDir,
      name: 'standby',
      durable: false,
      settings,
    })
    releaser.onRelease(() => standby.stop('immediate'))
    servers = { primary: server, standby }
    proxy = await startTcpProxy(standby.adminUrl, releaser)
  })

  const open = (url: string, maxConnections: number) =>
    openDatabase({
      url,
      applicationName: 'reads',
      maxConnections,
      connectTimeoutMs: 1_000,
      queryTimeoutMs: 3_000,
      onError: () => {},
    })
  /** Opens pools, and begins to check. */
  function startReads(primaryUrl: string, replicaUrl: string) {
    primary = open(primaryUrl, 3)
    replica = open(replicaUrl, 3)
    checks = { primary: open(primaryUrl, 1), replica: open(replicaUrl, 1) }
    changes = []
    reads = new Replica({
      primary,
      replica,
      checks,
      intervalMs: 50,
      onChange: (isUsed, reason) => void changes.push(isUsed ? 'used' : (reason ?? 'no reason')),
    })
  }
  async function stopReads() {
    await reads.close()
    await Promise.all([primary, replica, checks.primary, checks.replica].map((db) => db.close()))
  }

  beforeEach(() => {
    const throughProxy = new URL(servers.standby.adminUrl)
    throughProxy.port = String(proxy.port)
    startReads(servers.primary.adminUrl, throughProxy.href)
  })
  afterEach(stopReads)

  /** Which server answers a read. */
  const askWho = () =>
    reads.run(async ({ pool }) => {
      const { rows } = await pool.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')
      return rows[0]?.standby ? 'replica' : 'primary'
    })
  const untilAnswers = (who: 'replica' | 'primary') =>
    waitFor(`the ${who} to answer`, async () => (await askWho()) === who)

  const untilSaid = (what: string) => waitFor(`"${what}" to be said`, () => changes.at(-1) === what)

  it('go there once it is known to be up to date', async () => {
    expect(await askWho()).toBe('primary')
    await untilAnswers('replica')
    expect(changes.at(-1)).toBe('used')
  })

  it('go to the primary while the replica lags, and come back', async () => {
    await untilAnswers('replica')
    await replica.pool.query('SELECT pg_wal_replay_pause()')
    await primary.pool.query('SELECT pg_logical_emit_message(true, $1, $1)', ['something new'])
    await untilSaid('it is behind')
    expect(await askWho()).toBe('primary')
    await replica.pool.query('SELECT pg_wal_replay_resume()')
    await untilAnswers('replica')
  })

  it('are answered by the primary when the replica refuses connections', async () => {
    await untilAnswers('replica')
    await proxy.cut()
    expect(await askWho()).toBe('primary')
    // A check that was on its way when the connection was cut says so.
    const isSaid = () => /ECONNREFUSED|ECONNRESET|Connection terminated/.test(changes.at(-1) ?? '')
    await waitFor('the refusal to be said', isSaid, { explain: () => changes.join() })
    await proxy.restore()
    await untilAnswers('replica')
  })

  it('that wait for a replica that vanished are answered by the primary', async () => {
    await untilAnswers('replica')
    const isHeld = reads.run(async ({ pool }) => {
      const { rows } = await pool.query<{ held: boolean }>(
        'SELECT pg_is_in_recovery() AND pg_sleep(60) IS NOT NULL AS held',
      )
      return rows[0]?.held
    })
    proxy.silence()
    expect(await isHeld).toBe(false)
    expect(await askWho()).toBe('primary')
  })

  it('that the replica ends for the sake of replication are repeated on the primary', async () => {
    await untilAnswers('replica')
    const raise =
      "DO $$ BEGIN IF pg_is_in_recovery() THEN RAISE 'conflict' USING ERRCODE = '40001'; END IF; END $$"
    await reads.run(({ pool }) => pool.query(raise))
    expect(changes.join()).not.toContain('conflict')
  })

  it('that took too long or hold bad data fail', async () => {
    await untilAnswers('replica')
    for (const code of ['57014', '22021']) {
      const failing = reads.run(({ pool }) =>
        pool.query(`DO $$ BEGIN RAISE 'no' USING ERRCODE = '${code}'; END $$`),
      )
      await expect(failing).rejects.toMatchObject({ code })
    }
  })

  it('stay with a replica whose connections are all taken, and those that find none go to the primary', async () => {
    await untilAnswers('replica')
    const held = await Promise.all(Array.from({ length: 3 }, () => replica.pool.connect()))
    expect(await askWho()).toBe('primary')
    expect(changes.join()).not.toContain('timeout exceeded when trying to connect')
    for (const client of held) client.release()
    await untilAnswers('replica')
  })

  it('leave a replica that lags while all connections to the primary are taken', async () => {
    await untilAnswers('replica')
    const held = await Promise.all(Array.from({ length: 3 }, () => primary.pool.connect()))
    await replica.pool.query('SELECT pg_wal_replay_pause()')
    await held[0]?.query('SELECT pg_logical_emit_message(true, $1, $1)', ['something new'])
    await untilSaid('it is behind')
    for (const client of held) client.release()
    await replica.pool.query('SELECT pg_wal_replay_resume()')
  })

  it('never go to a server that is no replica of this database, and the reason is said', async () => {
    const { primary: server, standby } = servers
    const wrong = [
      ['it is no replica', server.adminUrl],
      ['it holds another database', standby.url('template1')],
    ] as const
    for (const [reason, url] of wrong) {
      await stopReads()
      startReads(server.adminUrl, url)
      await untilSaid(reason)
      expect(await askWho()).toBe('primary')
    }
  })

  it('stay with the replica while the primary is away', async () => {
    await untilAnswers('replica')
    await servers.primary.kill9()
    await expect(primary.pool.query('SELECT 1')).rejects.toThrow()
    expect(await askWho()).toBe('replica')
    await servers.primary.start()
  })

  it('leave a replica that was promoted', async () => {
    await untilAnswers('replica')
    await promote(servers.standby)
    await untilSaid('it is no replica')
  })
})
