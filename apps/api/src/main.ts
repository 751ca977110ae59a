import { createLifecycle, exitOnSignal } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { runMain } from '@tidings/runtime/run-main'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { openTracing } from '@tidings/telemetry/open-tracing'
import { readEnv } from './env.ts'
import { startApi } from './start-api.ts'

await runMain(async () => {
  const env = readEnv(process.env)
  const tracing = await openTracing('tidings-api', env)
  const log = createLogger('tidings-api', env.LOG_LEVEL, tracing?.logFields)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log, env.SHUTDOWN_DELAY * 1000)
  if (tracing) {
    tracing.onError(throttledWarning(log, 'trace export'))
    lifecycle.onRelease('tracing', tracing.stop)
  }
  const server = await startApi(env, log, lifecycle, {
    tracing,
    onUnsafe: () => log.flush(() => process.exit(1)),
  })
  log.info({ url: server.url }, 'listening')
  // npm start waits for this message: another process might be listening on the port.
  process.send?.('started')
})
