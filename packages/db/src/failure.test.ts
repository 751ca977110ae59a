import { useReleaser } from '@tidings/stack/testing/test-context'
import { DrizzleQueryError } from 'drizzle-orm/errors'
import pg from 'pg'
import { describe, expect, inject, it } from 'vitest'
import { openDatabase } from './database.ts'
import { classifyFailure, sqlState } from './failure.ts'

function databaseError(code: string): pg.DatabaseError {
  const error = new pg.DatabaseError('irrelevant text', 0, 'error')
  error.code = code
  return error
}

describe('the class of a PostgreSQL failure', () => {
  const releaser = useReleaser()

  it.each([
    ['08006', 'outage'],
    ['08P01', 'outage'],
    ['57P01', 'outage'],
    ['57P02', 'outage'],
    ['57P03', 'outage'],
    ['57P04', 'outage'],
    ['57P05', 'outage'],
    ['28P01', 'outage'],
    ['3D000', 'outage'],
    ['53100', 'outage'],
    ['53300', 'outage'],
    ['25006', 'outage'],
    ['58030', 'outage'],
    ['40001', 'transient'],
    ['40P01', 'transient'],
    ['55P03', 'transient'],
    ['57014', 'transient'],
    ['XX000', 'transient'],
    ['42P01', 'transient'],
    ['22001', 'permanent'],
    ['22021', 'permanent'],
    ['23502', 'permanent'],
    ['23503', 'permanent'],
    ['23514', 'permanent'],
  ] as const)('%s is %s, also inside a wrapper', (code, expected) => {
    expect(classifyFailure(databaseError(code))).toBe(expected)
    expect(classifyFailure(new DrizzleQueryError('select', [], databaseError(code)))).toBe(expected)
  })

  it('is outage for a refused connection', async () => {
    const client = new pg.Client({ host: '127.0.0.1', port: 1 })
    const error: unknown = await client.connect().catch((caught: unknown) => caught)
    expect(sqlState(error)).toBe('ECONNREFUSED')
    expect(classifyFailure(error)).toBe('outage')
  })

  it('is outage for a pool without a free connection', async () => {
    const pool = new pg.Pool({ host: '127.0.0.1', port: 1, max: 1, connectionTimeoutMillis: 50 })
    const error: unknown = await pool.query('SELECT 1').catch((caught: unknown) => caught)
    expect(classifyFailure(error)).toBe('outage')
    await pool.end()
  })

  it.each([
    ['has another password', { password: 'rotated' }, '28P01'],
    ['has no such database', { pathname: '/renamed' }, '3D000'],
    ['does not speak TLS', { search: '?sslmode=verify-full' }, undefined],
    // The same SQLSTATE as for data that can never be stored.
    ['refuses a setting', { search: '?options=-c%20role%3Dnobody' }, '22023'],
  ])('is outage for a server that %s', async (_, change, code) => {
    const url = Object.assign(new URL(inject('servers').postgresAdminUrl), change)
    const { pool } = releaser.add(
      openDatabase({ url: url.href, applicationName: 'refused', maxConnections: 1, onError: () => {} }),
      (opened) => opened.close(),
    )
    const error: unknown = await pool.query('SELECT 1').catch((caught: unknown) => caught)
    expect(sqlState(error)).toBe(code)
    expect(classifyFailure(error)).toBe('outage')
  })

  it('is transient for anything unknown', () => {
    expect(classifyFailure(new Error('what?'))).toBe('transient')
    expect(classifyFailure('a string')).toBe('transient')
    expect(classifyFailure(undefined)).toBe('transient')
  })
})
