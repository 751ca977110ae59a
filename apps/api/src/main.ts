import { runMain } from '@tidings/shared/env'
import { createLifecycle, exitOnSignal } from '@tidings/shared/lifecycle'
import { createLogger } from '@tidings/shared/log'
import { readEnv } from './env.ts'
import { startApi } from './start-api.ts'

await runMain(async () => {
  const env = readEnv(process.env)
  const log = createLogger('api', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)
  const server = await startApi(env, log, lifecycle)
  log.info({ url: server.url }, 'listening')
})
