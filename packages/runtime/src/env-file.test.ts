import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { quoteForShell, readEnvFile, writeEnvFile } from './env-file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidings-env-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('an env file means the same to a shell and to Node, in a folder of any name', async () => {
  const parent = join(folder, "it's $HOME")
  await mkdir(parent)
  const file = join(parent, 'dev.env')
  const values = {
    PLAIN: 'postgres://user:p-1@localhost:5432/tidings',
    SPACED: '/tmp/my data/$HOME',
    QUOTED: "/tmp/it's data",
  }
  await writeEnvFile(file, 'A comment.', { ...values, ABSENT: undefined })
  expect(readEnvFile(file)).toEqual(values)
  const printed = `printf '%s\\n' "$PLAIN" "$SPACED" "$QUOTED" "\${ABSENT-absent}"`
  // Another shell prints them: it sees only what was exported.
  const script = `. ${quoteForShell(file)}; exec sh -c ${quoteForShell(printed)}`
  const output = execFileSync('sh', ['-euc', script], { encoding: 'utf8' })
  expect(output.trim().split('\n')).toEqual([...Object.values(values), 'absent'])
})

test('an absent env file has no variables; an unreadable one is an error', async () => {
  expect(readEnvFile(join(folder, 'none'))).toEqual({})
  // A link to itself cannot be read by anybody, not even by root.
  const unreadable = join(folder, 'unreadable')
  await symlink('unreadable', unreadable)
  expect(() => readEnvFile(unreadable)).toThrow('ELOOP')
})
