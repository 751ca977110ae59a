import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { createTestDatabase, useReleaser } from '../testing/test-context.ts'
import { spawnApp } from './app-process.ts'

const releaser = useReleaser()

test('an app is not ready because another server answers on its port', async () => {
  let requests = 0
  const other = createServer((_, response) => {
    requests++
    response.end()
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  releaser.onRelease(() => void other.close())
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { url } = await createTestDatabase(releaser)

  const worker = releaser.add(
    await spawnApp({
      name: 'worker',
      main: 'apps/worker/src/main.ts',
      env: { DATABASE_URL: url, HOST: '127.0.0.1', WORKER_PORT: String(port) },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    }),
    (app) => app.stop(),
  )
  await expect(worker.waitUntilReady()).rejects.toThrow(/worker ended while starting; .*already in use/s)
  expect(requests).toBe(0)
})

test('an app that is never configured does nothing, and stops on SIGTERM', {
  timeout: 60_000,
}, async () => {
  const api = await spawnApp({ name: 'api', main: 'apps/api/src/main.ts' })
  expect(api.isRunning).toBe(true)
  expect(await api.stop()).toEqual({ code: null, signal: 'SIGTERM' })
  expect(api.output()).toBe('')
})
