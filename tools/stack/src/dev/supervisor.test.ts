import { expect, test } from 'vitest'
import { spawnGuarded } from '../servers/guarded-process.ts'
import { waitFor } from '../servers/wait-for.ts'
import { useReleaser } from '../testing/test-context.ts'
import { spawnApp } from './app-process.ts'
import { supervise } from './supervisor.ts'

const releaser = useReleaser()

test('a part that cannot be started again is given up, and the reason is said', async () => {
  const app = await spawnApp({
    name: 'api',
    main: 'apps/api/src/main.ts',
    baseEnv: { PATH: process.env.PATH },
  })
  const said: string[] = []
  let isFirst = true
  const supervised = await supervise(
    {
      async spawn() {
        // As it is when the system has no room for another process.
        if (!isFirst)
          await spawnGuarded('/nowhere/node', [], {
            env: {},
            stdout: 'ignore',
            stderr: 'ignore',
            stopSignal: 'TERM',
          })
        isFirst = false
        return { ...app, waitUntilReady: () => Promise.resolve() }
      },
      say: (text) => void said.push(text),
      onGiveUp: (name) => void said.push(`${name} is given up`),
    },
    new AbortController().signal,
  )
  releaser.onRelease(supervised.stop)
  await app.kill9()
  await waitFor('the end of it', () => said.length === 3)
  expect(said).toEqual([
    'api ended unexpectedly (SIGKILL); starting it again',
    expect.stringMatching(/^api cannot be started again \(.*ENOENT/),
    'api is given up',
  ])
})
