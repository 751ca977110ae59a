import { relative, sep } from 'node:path'
import { quoteForShell } from '@tidings/runtime/env-file'
import type { QueueChoice } from './choose-queue.ts'
import type { Stack } from './stack.ts'

/** Returns the banner that npm start prints when everything is up. */
export function describeStack(stack: Omit<Stack, 'pid' | 'stop'>): string {
  const database =
    stack.database === 'embedded' ? 'PostgreSQL 18, embedded' : 'PostgreSQL, the one of DATABASE_URL'
  return `
Tidings is up.

  API        ${stack.apiUrl}
  Reference  ${stack.apiUrl}/docs
  Mailbox    ${stack.mail === 'mailbox' ? `${stack.apiUrl}/dev/mailbox/` : 'none: SMTP_URL sends real mails'}
  Worker     ${stack.workerUrl} (health and metrics)
  Database   ${database}
  Queue      ${describeQueue(stack.queue)}
  Data       ${showPath(stack.dataDir)} (logs in ${showPath(stack.logDir)})

Try this in another terminal, in this folder:

  . ${quoteForShell(showPath(stack.devEnvFile))}
  curl -X POST $API_URL/api/v1/email/status/ \\
    -H "Authorization: Bearer $SERVICE_KEY" \\
    -d '{"notification_id": "notif-123", "status": "delivered"}'

Ctrl-C stops everything and keeps the data.
`
}

/** Says why the queue is in PostgreSQL, because that is the slower of the two. */
const POSTGRES_REASONS = {
  configured: '(as QUEUE_BACKEND says)',
  detected: '(there is no Redis; install redis-server for more speed)',
}

function describeQueue({ place, reason }: QueueChoice): string {
  if (place === 'redis-external') return 'Redis, the one of REDIS_URL'
  if (place === 'redis-private') return 'Redis, a private one that writes every job to disk'
  return `PostgreSQL ${POSTGRES_REASONS[reason]}`
}

/** Shows a path as one would type it: relative when it is below the working directory, absolute otherwise. */
function showPath(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere.startsWith('..') ? path : `.${sep}${fromHere}`
}
