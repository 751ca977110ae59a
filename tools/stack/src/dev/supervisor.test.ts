import { once } from 'node:events'
import { expect, test } from 'vitest'
import { endProcess, spawnGuarded } from '../servers/guarded-process.ts'
import { waitFor } from '../servers/wait-for.ts'
import type { AppExit, AppProcess } from './app-process.ts'
import { supervise } from './supervisor.ts'

const spawnProgram = (command: string, args: string[] = []) =>
  spawnGuarded(command, args, { env: {}, stdout: 'ignore', stderr: 'ignore', stopSignal: 'TERM' })

/** A process that is ready at once: the supervisor does not care what an app does. */
async function spawnFakeApp(): Promise<AppProcess> {
  const child = await spawnProgram('/bin/sleep', ['600'])
  const exited: Promise<AppExit> = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  const end = async (signal: NodeJS.Signals) => {
    await endProcess(child, signal, 1_000)
    return exited
  }
  return {
    name: 'api',
    pid: child.pid,
    exited,
    isRunning: true,
    output: () => '',
    configure: () => {},
    waitUntilReady: () => Promise.resolve(),
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    signal: (signal) => void child.kill(signal),
  }
}

test('gives up a process that cannot be spawned again, and reports why', async () => {
  const app = await spawnFakeApp()
  const reports: string[] = []
  let isFirst = true
  const supervised = await supervise(
    {
      async spawn() {
        // The system has no room for another process.
        if (!isFirst) await spawnProgram('/nowhere/node')
        isFirst = false
        return app
      },
      onNotice: (text) => void reports.push(text),
      onGiveUp: (name) => void reports.push(`gave up ${name}`),
    },
    new AbortController().signal,
  )
  await app.kill9()
  await waitFor('the supervisor to give up', () => reports.length === 3)
  expect(reports).toEqual([
    'api ended unexpectedly (SIGKILL); restarting it',
    expect.stringMatching(/^api cannot be restarted \(.*ENOENT/),
    'gave up api',
  ])
  await supervised.stop()
})
