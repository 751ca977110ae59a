import { runMain } from '@tidings/runtime/run-main'
import { readEmailServiceEnv } from './env.ts'
import { runEmailService } from './run-email-service.ts'

await runMain(() => runEmailService(readEmailServiceEnv(process.env)))
