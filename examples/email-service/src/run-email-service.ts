import { createProducer } from '@tidings/producer'
import { createLifecycle, exitOnSignal } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import type { EmailServiceEnv } from './env.ts'
import { createMailer } from './mailer.ts'
import { openMailWorker } from './open-mail-worker.ts'
import { processMessage } from './process-message.ts'
import { createReporter } from './report-status.ts'

/** How long a report is tried before its message waits in the queue for the next attempt, in milliseconds. */
const REPORT_LIMIT_MS = 10_000

/** Runs the service: takes messages from the queue, sends them and reports, until a signal stops it. */
export async function runEmailService(env: EmailServiceEnv): Promise<void> {
  const log = createLogger('email-service', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)
  const mailer = createMailer({ smtpUrl: env.SMTP_URL, from: env.MAIL_FROM })
  lifecycle.onRelease('mailer', () => mailer.close())
  const producer = createProducer({
    api: { url: env.API_URL, key: env.SERVICE_KEY, deadlineMs: REPORT_LIMIT_MS },
  })
  lifecycle.onRelease('producer', () => producer.close())
  const report = createReporter(producer)
  const worker = await openMailWorker(
    env.queue,
    (job) => processMessage(job, { send: mailer.send, report, log }),
    throttledWarning(log, 'queue'),
  )
  // Registered last, so released first: it waits for the messages that are being sent.
  lifecycle.onRelease('worker', () => worker.close(), 8_000)
  log.info({ queue: env.queue.backend }, 'sending messages')
  // Tells npm start that this process runs.
  process.send?.('started')
}
