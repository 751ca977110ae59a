import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { waitFor } from '../servers/wait-for.ts'
import { makeTestFolder, useReleaser } from './test-context.ts'

const PROGRAM = fileURLToPath(new URL('./run-tests.ts', import.meta.url))
const releaser = useReleaser()

/** Starts npm test's program with shell scripts in place of the checks and vitest. */
async function startRunTests(scripts: Record<string, string>) {
  const bin = await makeTestFolder(releaser)
  const temporary = await makeTestFolder(releaser)
  const all = { biome: 'exit 0', depcruise: 'exit 0', knip: 'exit 0', tsc: 'exit 0', ...scripts }
  for (const [name, script] of Object.entries(all))
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const PATH = [bin, process.env.PATH].join(delimiter)
  const child = spawn(process.execPath, [PROGRAM], { env: { PATH, TMPDIR: temporary } })
  const output = Promise.all([text(child.stdout), text(child.stderr)]).then((streams) => streams.join(''))
  return { child, exited: once(child, 'exit'), output, listTemporary: () => readdir(temporary) }
}

test('npm test prints the output of a failed check, and then runs no tests', async () => {
  const run = await startRunTests({ knip: 'echo "Unused files (1)"; exit 1', vitest: 'echo "tests ran"' })
  expect(await run.exited).toEqual([1, null])
  const output = await run.output
  expect(output).toContain('ok: types')
  expect(output).toContain('Unused files (1)\n\nFailed: unused code (knip --no-progress)')
  expect(output).not.toContain('tests ran')
})

test('npm test that is interrupted leaves nothing in the temporary folder, and does not call it a failure', async () => {
  const run = await startRunTests({ vitest: 'mkdir "$TMPDIR/database"; exec sleep 600' })
  await waitFor('the tests to run', async () => {
    const [folder] = await run.listTemporary()
    return folder !== undefined
  })
  run.child.kill('SIGINT')
  expect(await run.exited).toEqual([130, null])
  const output = await run.output
  expect(output).toContain('Interrupted.')
  expect(output).not.toContain('Failed')
  expect(await run.listTemporary()).toEqual([])
})

test('npm test exits with the code of vitest', async () => {
  const run = await startRunTests({ vitest: 'exit 3' })
  expect(await run.exited).toEqual([3, null])
  expect(await run.listTemporary()).toEqual([])
})
