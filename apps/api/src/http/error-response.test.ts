import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { call, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
let user: TestUser

beforeAll(async () => {
  api = await startTestApi(releaser)
  user = await register(api.apiUrl)
})

/** Changes the user while PostgreSQL fails the statement with this SQLSTATE. */
async function changeFailingWith(sqlState: string) {
  const { pool } = api.database
  await pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'secret detail' USING ERRCODE = '${sqlState}'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()`)
  try {
    return await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'PATCH',
      token: user.token,
      body: { name: 'Grace' },
    })
  } finally {
    await pool.query('DROP FUNCTION refuse CASCADE')
  }
}

it.each([
  ['a statement timeout', '57014'],
  ['a deadlock', '40P01'],
  ['a serialization failure', '40001'],
  ['a lock that is not available', '55P03'],
  ['a server that is shutting down', '57P01'],
])('answers 503 with Retry-After: %s', async (_name, sqlState) => {
  const reply = await changeFailingWith(sqlState)
  expect(reply).toMatchObject({ status: 503, body: { error: 'unavailable' } })
  expect(reply.headers.get('retry-after')).toBe('1')
  expect(reply.text).not.toContain('secret')
})

it('answers 500 when a repeat would fail too', async () => {
  const reply = await changeFailingWith('42703')
  expect(reply).toMatchObject({ status: 500, body: { error: 'internal_error' } })
  expect(reply.text).not.toContain('secret')
})
