import { waitFor } from '@tidings/stack/servers/wait-for'
import { createDirectDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { describe, expect, it } from 'vitest'
import { openDatabase } from './database.ts'
import { classifyFailure } from './failure.ts'

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
