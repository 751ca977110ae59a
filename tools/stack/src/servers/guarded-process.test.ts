import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { toSentence } from '../dev/app-log.ts'
import { waitFor } from './wait-for.ts'

const MODULE = fileURLToPath(new URL('./guarded-process.ts', import.meta.url))

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('a guarded process does not outlive a parent that was killed', async () => {
  const program = `
    const { spawnGuarded } = await import(${JSON.stringify(MODULE)})
    const child = await spawnGuarded('sleep', ['600'], { env: process.env, stdout: 'ignore', stderr: 'ignore', stopSignal: 'TERM' })
    console.log(child.pid)
    setInterval(() => {}, 1000)`
  const parent = execFile(process.execPath, ['--input-type=module', '-e', program])
  const [line] = await once(parent.stdout ?? process.stdin, 'data')
  const pid = Number(line)
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await waitFor('the child to end', () => !isAlive(pid))
})

test.for([
  ['{"level":30,"time":"t","service":"api","msg":"listening"}', undefined],
  [
    '{"level":40,"time":"t","service":"api","msg":"queue is away","waitMs":50}',
    'warning: queue is away waitMs=50',
  ],
  ['{"level":50,"msg":"failed","error":"no"}', 'error: failed error=no'],
  ['Error: a crash', 'Error: a crash'],
  ['', undefined],
] as const)('of the log line %s the terminal shows %s', ([line, shown]) => {
  expect(toSentence(line)).toBe(shown)
})
