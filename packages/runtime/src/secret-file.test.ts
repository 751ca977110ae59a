import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeSecretFile } from './secret-file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidings-secret-'))
})
afterAll(() => rm(folder, { recursive: true }))

const modeOf = async (file: string) => (await stat(file)).mode & 0o777

test('writes a file that only its owner can read, also over one that others could read', async () => {
  const file = join(folder, 'keys')
  await writeFile(file, 'old', { mode: 0o644 })
  await writeFile(`${file}.new`, 'left by a killed writer', { mode: 0o644 })
  await writeSecretFile(file, 'new')
  expect(await readFile(file, 'utf8')).toBe('new')
  expect(await modeOf(file)).toBe(0o600)
})

test('keeps the owner and mode that the caller names', async () => {
  const file = join(folder, 'shared-keys')
  const { uid, gid } = await stat(folder)
  await writeSecretFile(file, 'new', { uid, gid, mode: 0o640 })
  expect(await modeOf(file)).toBe(0o640)
})

test('leaves nothing behind when the file cannot be replaced', async () => {
  const before = await readdir(folder)
  await expect(writeSecretFile(join(folder, 'missing', 'keys'), 'new')).rejects.toThrow('ENOENT')
  // A folder cannot be replaced by a file.
  await expect(writeSecretFile(folder, 'new')).rejects.toThrow()
  expect(await readdir(folder)).toEqual(before)
  await expect(stat(`${folder}.new`)).rejects.toThrow('ENOENT')
})
