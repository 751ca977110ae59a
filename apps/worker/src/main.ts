import { runMain } from '@tidings/runtime/run-main'
import { readWorkerEnv } from './env.ts'
import { runWorker } from './run-worker.ts'

await runMain(() => runWorker(readWorkerEnv()))
