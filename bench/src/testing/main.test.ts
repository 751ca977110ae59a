import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

test.each([
  ['--output', '/tmp/x'],
  ['--output', ''],
  ['--rounds', '1.5'],
  ['--connections', '2.5'],
  ['--seconds', 'Infinity'],
  ['--against', '/tmp'],
])('refuses %s %j before it measures anything', (option, value) => {
  // The unknown scenario keeps a broken check from starting a long run.
  const run = spawnSync(process.execPath, [MAIN, option, value, '--only', 'nothing'], { encoding: 'utf8' })
  expect([run.status, run.stdout]).toEqual([64, ''])
  expect(run.stderr).toContain(`error: option '${option} `)
})

test('says in one line what to do without a Redis on the PATH', () => {
  const run = spawnSync(process.execPath, [MAIN, '--quick'], { encoding: 'utf8', env: { PATH: '' } })
  expect(run).toMatchObject({ status: 1, stdout: '' })
  expect(run.stderr).toBe(
    'There is no redis-server or valkey-server on the PATH. Install one: the benchmark measures the queue in Redis.\n',
  )
})

test('refuses an unknown scenario and names the known ones', () => {
  const run = spawnSync(process.execPath, [MAIN, '--only', 'nothing'], { encoding: 'utf8' })
  expect(run).toMatchObject({ status: 64, stdout: '' })
  expect(run.stderr).toMatch(/^error: .*nothing.*ingest-single/)
})
