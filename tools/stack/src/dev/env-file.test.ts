import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { quoteForShell, readEnvFile, writeEnvFile } from './env-file.ts'

const releaser = useReleaser()

test('an env file says the same to a shell and to Node, in whatever folder it is', async () => {
  const parent = releaser.add(await mkdtemp(join(tmpdir(), "tidings it's $HOME-")), (path) =>
    rm(path, { recursive: true }),
  )
  const file = join(parent, 'dev.env')
  const values = {
    PLAIN: 'postgres://user:p-1@localhost:5432/tidings',
    SPACED: '/tmp/my data/$HOME',
    QUOTED: "/tmp/it's data",
  }
  await writeEnvFile(file, 'A comment.', { ...values, ABSENT: undefined })
  expect(await readEnvFile(file)).toEqual(values)
  const script = `. ${quoteForShell(file)}; printf '%s\\n' "$PLAIN" "$SPACED" "$QUOTED" "\${ABSENT-absent}"`
  const told = execFileSync('sh', ['-euc', script], { encoding: 'utf8' })
  expect(told.trim().split('\n')).toEqual([...Object.values(values), 'absent'])
})
