import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { isAlive } from './is-alive.ts'
import { waitFor } from './wait-for.ts'

const MODULE = fileURLToPath(new URL('./guarded-process.ts', import.meta.url))

test('a guarded process ends when its parent is killed', async () => {
  const program = `
    const { spawnGuarded } = await import(${JSON.stringify(MODULE)})
    const child = await spawnGuarded('/bin/sleep', ['600'], { env: {}, stdout: 'ignore', stderr: 'ignore', stopSignal: 'TERM' })
    console.log(child.pid)
    setInterval(() => {}, 1000)`
  const parent = execFile(process.execPath, ['--input-type=module', '-e', program])
  const [line] = await once(parent.stdout ?? process.stdin, 'data')
  const pid = Number(line)
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await waitFor('the child to end', () => !isAlive(pid))
})
