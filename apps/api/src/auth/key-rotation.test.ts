import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSigningKey, type SigningKey } from '@tidings/shared/signing-keys'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { decodeProtectedHeader } from 'jose'
import { beforeAll, expect, it } from 'vitest'
import { call, logIn, readMe, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
/** The rotation also changes the algorithm. */
const [first, second] = [generateSigningKey('EdDSA'), generateSigningKey('ES256')]
let one: TestApi
let two: TestApi
let writeKeys: (...keys: SigningKey[]) => Promise<void>

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tidings-keys-'))
  releaser.onRelease(() => rm(directory, { recursive: true }))
  const file = join(directory, 'jwt-keys.json')
  writeKeys = async (...keys) => {
    await writeFile(`${file}.new`, JSON.stringify({ keys }))
    await rename(`${file}.new`, file)
  }
  await writeKeys(first)
  const variables = { JWT_KEYS: '', JWT_KEYS_FILE: file }
  one = await startTestApi(releaser, variables)
  two = await startTestApi(releaser, variables, { database: one })
})

const statusAt = async (api: TestApi, token: string) => (await readMe(api.apiUrl, token)).status
const algorithmsAt = async (api: TestApi) => {
  const { keys } = (await (await fetch(`${api.apiUrl}/.well-known/jwks.json`)).json()) as {
    keys: { alg: string }[]
  }
  return keys.map(({ alg }) => alg)
}
const kidOf = (token: string) => decodeProtectedHeader(token).kid

/** Makes a replica read the file now: it does so for a key that it does not know. */
const showUnknownKey = (api: TestApi, token: string) => statusAt(api, withUnknownKid(token))
const withUnknownKid = (token: string) =>
  token.replace(/^[^.]+/, Buffer.from('{"alg":"EdDSA","kid":"x"}').toString('base64url'))

it('signs with a rotated key of another algorithm without a restart, and accepts the old key until it leaves the set', async () => {
  const before = await register(one.apiUrl)
  expect(kidOf(before.token)).toBe(first.kid)

  await writeKeys(second, first)
  expect(await showUnknownKey(one, before.token)).toBe(401)
  const after = await logIn(one.apiUrl, before.email, before.password)
  expect(kidOf(after.token)).toBe(second.kid)
  // The other replica may not have read the file again yet.
  expect(await statusAt(two, after.token)).toBe(200)
  expect([await statusAt(one, before.token), await statusAt(two, before.token)]).toEqual([200, 200])
  expect(decodeProtectedHeader(after.token).alg).toBe('ES256')
  expect([await algorithmsAt(one), await algorithmsAt(two)]).toEqual([
    ['ES256', 'EdDSA'],
    ['ES256', 'EdDSA'],
  ])
  const refreshed = await call(`${one.apiUrl}/api/v1/auth/refresh/`, {
    method: 'POST',
    body: { refresh_token: before.refreshToken },
  })
  expect([refreshed.status, kidOf(String(refreshed.body.data.token))]).toEqual([200, second.kid])

  await writeKeys(second)
  await showUnknownKey(one, before.token)
  expect(await statusAt(one, before.token)).toBe(401)
  expect(await statusAt(one, after.token)).toBe(200)
})

it('keeps the keys when the file becomes unusable', async () => {
  const user = await register(one.apiUrl)
  const kid = kidOf(user.token)
  await writeKeys()
  for (let n = 0; n < 3; n++) expect(await showUnknownKey(one, user.token)).toBe(401)
  expect(await statusAt(one, user.token)).toBe(200)
  expect(kidOf((await logIn(one.apiUrl, user.email, user.password)).token)).toBe(kid)
})
