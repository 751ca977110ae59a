import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

test.each([
  ['--output', '/tmp/x'],
  ['--output', ''],
  ['--rounds', '1.5'],
  ['--connections', '2.5'],
  ['--seconds', 'Infinity'],
  ['--against', '/tmp'],
])('%s %j is wrong usage before anything is measured', (option, value) => {
  // Should it get past that, there is nothing to measure either.
  const run = spawnSync(process.execPath, [MAIN, option, value, '--only', 'nothing'], { encoding: 'utf8' })
  expect([run.status, run.stdout]).toEqual([64, ''])
  expect(run.stderr).toContain(`error: option '${option} `)
})

test('without a Redis on the PATH it says what to do, in one line', () => {
  const run = spawnSync(process.execPath, [MAIN, '--quick'], { encoding: 'utf8', env: { PATH: '' } })
  expect(run).toMatchObject({ status: 1, stdout: '' })
  expect(run.stderr).toBe(
    'There is no redis-server or valkey-server on the PATH. Install one: the queue in Redis is what is measured.\n',
  )
})

test('an unknown scenario is wrong usage, and the known ones are named', () => {
  const run = spawnSync(process.execPath, [MAIN, '--only', 'nothing'], { encoding: 'utf8' })
  expect(run).toMatchObject({ status: 64, stdout: '' })
  expect(run.stderr).toMatch(/^error: .*nothing.*ingest-single/)
})
