import { mkdtemp, readFile, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseSigningKeySet } from '@tidings/shared/signing-keys'
import { beforeEach, expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { ensureJwtKeys } from './dev-keys.ts'
import { readEnvFile } from './env-file.ts'

const releaser = useReleaser()
let folder: string
beforeEach(async () => {
  folder = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-dev-env-')), (path) =>
    rm(path, { recursive: true }),
  )
})

/** A file that is there and cannot be read, by root neither. */
async function makeUnreadable(): Promise<string> {
  const file = join(folder, 'unreadable')
  await symlink('unreadable', file)
  return file
}

test('signing keys are made once', async () => {
  const file = join(folder, 'jwt-keys.json')
  await ensureJwtKeys(file)
  const made = await readFile(file, 'utf8')
  expect(parseSigningKeySet(made).keys).toHaveLength(1)
  await ensureJwtKeys(file)
  expect(await readFile(file, 'utf8')).toBe(made)
})

test('signing keys that cannot be read are not replaced: all tokens would end', async () => {
  const file = await makeUnreadable()
  await expect(ensureJwtKeys(file)).rejects.toThrow('ELOOP')
  expect(await readlink(file)).toBe('unreadable')
})

test('an env file that cannot be read is not taken for none: its service keys would be revoked', async () => {
  await expect(readEnvFile(await makeUnreadable())).rejects.toThrow('ELOOP')
  expect(await readEnvFile(join(folder, 'none'))).toEqual({})
})
