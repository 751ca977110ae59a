import { mkdtemp, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseSigningKeySet } from '@tidings/shared/signing-keys'
import { expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { ensureJwtKeys } from './dev-keys.ts'

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
