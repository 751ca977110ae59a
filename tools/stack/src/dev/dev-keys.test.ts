import { mkdtemp, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServiceKey, findServiceKey } from '@tidings/db/operators/service-keys'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { hashSecret, SCOPES } from '@tidings/shared/service-key'
import { parseSigningKeySet } from '@tidings/shared/signing-keys'
import { expect, test } from 'vitest'
import { createTestDatabase, useReleaser } from '../testing/test-context.ts'
import { chooseHookSecretsKey, chooseRecipientKey } from './choose-keys.ts'
import { ensureJwtKeys, ensureServiceKeys } from './dev-keys.ts'

const releaser = useReleaser()
const makeFolder = async () =>
  releaser.add(await mkdtemp(join(tmpdir(), 'tidings-dev-keys-')), (path) => rm(path, { recursive: true }))

test('signing keys are made once', async () => {
  const file = join(await makeFolder(), 'jwt-keys.json')
  await ensureJwtKeys(file)
  const made = await readFile(file, 'utf8')
  expect(parseSigningKeySet(made).keys).toHaveLength(1)
  await ensureJwtKeys(file)
  expect(await readFile(file, 'utf8')).toBe(made)
})

test('unreadable signing keys are not replaced, because every token would become invalid', async () => {
  // A link to itself cannot be read by anybody, not even by root.
  const file = join(await makeFolder(), 'unreadable')
  await symlink('unreadable', file)
  await expect(ensureJwtKeys(file)).rejects.toThrow('ELOOP')
  expect(await readlink(file)).toBe('unreadable')
})

test('the key of recipients is made once, unless the environment gives one', () => {
  const made = chooseRecipientKey(DEFAULT_RECIPIENT_KEY, {})
  expect(Buffer.from(made, 'base64url')).toHaveLength(32)
  expect(chooseRecipientKey(DEFAULT_RECIPIENT_KEY, { RECIPIENT_KEY: DEFAULT_RECIPIENT_KEY })).not.toBe(made)
  expect(chooseRecipientKey(DEFAULT_RECIPIENT_KEY, { RECIPIENT_KEY: made })).toBe(made)
  expect(chooseRecipientKey('a key of one’s own', { RECIPIENT_KEY: made })).toBe('a key of one’s own')
})

test('an operator key of an earlier version is replaced by one with all scopes', async () => {
  const { database } = await createTestDatabase(releaser)
  const old = await createServiceKey(database, 'dev-operator', ['dlq:read', 'dlq:write'])
  if (old.outcome !== 'created') throw new Error('No key was made')
  const made = await ensureServiceKeys(database, { OPERATOR_KEY: old.key })
  expect(await findServiceKey(database, hashSecret(old.key))).toBeUndefined()
  expect(await findServiceKey(database, hashSecret(made.OPERATOR_KEY))).toMatchObject({ scopes: SCOPES })
  expect(await ensureServiceKeys(database, { ...made })).toEqual(made)
})

test('the key of the secrets of hooks is made once, unless the environment gives one', () => {
  const made = chooseHookSecretsKey(undefined, {})
  expect(made).toHaveLength(43)
  expect(chooseHookSecretsKey(undefined, {})).not.toBe(made)
  expect(chooseHookSecretsKey(undefined, { HOOK_SECRETS_KEY: made })).toBe(made)
  expect(chooseHookSecretsKey('a key of one’s own', { HOOK_SECRETS_KEY: made })).toBe('a key of one’s own')
})
