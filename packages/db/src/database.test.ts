import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { createDirectDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'
import { openDatabase } from './database.ts'
import { classifyFailure, sqlState } from './failure.ts'

describe('a connection that PostgreSQL refuses', () => {
  const releaser = useReleaser()

  it('is reported with the reason, as well as to the query', async () => {
    const { url } = await createDirectDatabase(releaser)
    const absent = new URL(url)
    absent.pathname = '/absent'
    const reported: Error[] = []
    const { pool } = releaser.add(
      openDatabase({
        url: absent.href,
        applicationName: 'refused',
        maxConnections: 1,
        onError: (error) => void reported.push(error),
      }),
      (opened) => opened.close(),
    )
    const failure: unknown = await pool.query('SELECT 1').catch((error: unknown) => error)
    expect(reported).toEqual([failure])
    expect(reported[0]?.message).toBe('database "absent" does not exist')
    expect(classifyFailure(failure)).toBe('outage')
  })
})

describe('a connection that PostgreSQL ends', () => {
  const releaser = useReleaser()

  it('while it is in use and idle fails the next query, not the process', async () => {
    const { url, database } = await createDirectDatabase(releaser)
    const { pool } = releaser.add(
      openDatabase({ url, applicationName: 'held', maxConnections: 1, onError: () => {} }),
      (opened) => opened.close(),
    )
    const thrown: unknown[] = []
    const note = (error: unknown) => void thrown.push(error)
    process.prependListener('uncaughtException', note)
    releaser.onRelease(() => void process.off('uncaughtException', note))

    const client = await pool.connect()
    await client.query('BEGIN')
    let ended = false
    client.once('end', () => {
      ended = true
    })
    await database.pool.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'held'",
    )
    await waitFor('the end of the connection', async () => ended)
    await expect(client.query('SELECT 1')).rejects.toThrow()
    client.release(true)
    expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    expect(thrown).toEqual([])
  })
})

describe('a transaction that fails for an outage', () => {
  const releaser = useReleaser()

  /** A pool of one connection through a proxy. */
  async function openOne() {
    const { url, database } = await createDirectDatabase(releaser)
    const proxy = await startTcpProxy(url, releaser)
    const throughProxy = new URL(url)
    throughProxy.port = String(proxy.port)
    const { pool, orm } = releaser.add(
      openDatabase({
        url: throughProxy.href,
        applicationName: 'one',
        maxConnections: 1,
        queryTimeoutMs: 300,
        onError: () => {},
      }),
      (opened) => opened.close(),
    )
    const transact = () => orm.transaction((tx) => tx.execute<{ one: number }>('SELECT 1 AS one'))
    return { pool, orm, transact, proxy, direct: database.pool }
  }

  it('gives its connection back, also when it could not begin', async () => {
    const { transact, proxy } = await openOne()
    await transact()
    proxy.silence()
    expect(classifyFailure(await transact().catch((error: unknown) => error))).toBe('outage')
    await waitFor('the next transaction', () =>
      transact().then(
        ({ rows }) => rows[0]?.one === 1,
        () => false,
      ),
    )
  })

  it('closes a connection to a server that takes no writes: the name may lead to another one', async () => {
    const { orm, pool, direct } = await openOne()
    const { rows } = await direct.query<{ name: string }>('SELECT current_database() AS name')
    const setReadOnly = (value: string) =>
      direct.query(`ALTER DATABASE ${rows[0]?.name} SET default_transaction_read_only = ${value}`)
    await setReadOnly('on')
    await pool.query('SELECT 1')
    await setReadOnly('off')
    const write = () => orm.transaction((tx) => tx.execute('CREATE TABLE written ()'))
    expect(sqlState(await write().catch((error: unknown) => error))).toBe('25006')
    await write()
  })

  it('keeps its connection after any other error', async () => {
    const { orm, pool } = await openOne()
    const readId = async () => (await pool.query<{ id: number }>('SELECT pg_backend_pid() AS id')).rows[0]?.id
    const id = await readId()
    const refused = orm.transaction(() => Promise.reject(new Error('of the caller')))
    await expect(refused).rejects.toThrow('of the caller')
    expect(await readId()).toBe(id)
  })
})
