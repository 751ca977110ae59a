import { errorMessage } from '@tidings/shared/errors'
import type { Releaser } from '../releaser.ts'
import type { StartEnv } from './env.ts'
import { prepareApp } from './prepare-app.ts'
import type { StackOptions } from './stack.ts'
import type { Supervised } from './supervisor.ts'

/** Where mails go. */
export interface Mail {
  smtpUrl: string
  /** Undefined when SMTP_URL sends real mails. */
  mailboxUrl: string | undefined
}

/** Starts the local mailbox in this process, unless SMTP_URL names another SMTP server. */
export async function openMail({ SMTP_URL }: Pick<StartEnv, 'SMTP_URL'>, releaser: Releaser): Promise<Mail> {
  if (SMTP_URL !== undefined) return { smtpUrl: SMTP_URL, mailboxUrl: undefined }
  const { startMailbox } = await import('./mailbox.ts')
  const mailbox = releaser.add(await startMailbox(), (it) => it.close())
  return { smtpUrl: mailbox.smtpUrl, mailboxUrl: mailbox.url }
}

/** Starts the e-mail service in the background. A failure is a notice: everything else works without it. */
export function startEmailService(
  env: Record<string, string | undefined>,
  logDir: string,
  options: StackOptions,
  releaser: Releaser,
): void {
  const starting: Promise<Supervised | undefined> = prepareApp('email-service', logDir, options, releaser)
    .then((app) => app.start(env))
    .catch((error: unknown) => {
      if (!options.signal.aborted) options.onNotice(`email-service does not start (${errorMessage(error)})`)
      return undefined
    })
  releaser.onRelease(async () => (await starting)?.stop())
}
