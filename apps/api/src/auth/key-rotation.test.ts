import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSigningKey, type SigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { decodeProtectedHeader } from 'jose'
import { beforeAll, expect, it } from 'vitest'
import { call, logIn, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
const [first, second] = [generateSigningKey(), generateSigningKey()]
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
  const variables = { JWT_KEYS: '', JWT_KEYS_FILE: file, RATE_LIMIT_ENABLED: 'false' }
  one = await startTestApi(releaser, variables)
  two = await startTestApi(releaser, { ...variables, DATABASE_URL: one.url })
})

const readMe = async (api: TestApi, token: string) =>
  (await call(`${api.apiUrl}/api/v1/users/me/`, { token })).status
const kidOf = (token: string) => decodeProtectedHeader(token).kid

it('a rotated key signs without a restart, and the old one goes on verifying until it is taken out', async () => {
  const before = await register(one.apiUrl)
  expect(kidOf(before.token)).toBe(first.kid)

  await writeKeys(second, first)
  let after = before
  await waitFor('the new key to sign', async () => {
    after = await logIn(one.apiUrl, before.email, before.password)
    return kidOf(after.token) === second.kid
  })
  // Whether or not the other replica has looked at the file by itself yet.
  expect(await readMe(two, after.token)).toBe(200)
  expect([await readMe(one, before.token), await readMe(two, before.token)]).toEqual([200, 200])

  await writeKeys(second)
  await waitFor('the old key to be gone', async () => (await readMe(one, before.token)) === 401)
  expect(await readMe(one, after.token)).toBe(200)
})

it('a file that cannot be used leaves the keys as they are', async () => {
  const user = await register(one.apiUrl)
  await writeKeys()
  const kid = kidOf(user.token)
  for (let n = 0; n < 3; n++) {
    const unknown = user.token.replace(
      /^[^.]+/,
      Buffer.from('{"alg":"EdDSA","kid":"x"}').toString('base64url'),
    )
    expect(await readMe(one, unknown)).toBe(401)
  }
  expect(await readMe(one, user.token)).toBe(200)
  expect(kidOf((await logIn(one.apiUrl, user.email, user.password)).token)).toBe(kid)
})
