import { relative, sep } from 'node:path'
import type { LeftBehind, QueueChoice } from './choose-queue.ts'
import { quoteForShell } from './env-file.ts'
import type { DatabaseBefore } from './previous-database.ts'
import type { Stack } from './stack.ts'

/** What npm start says once everything is up. */
export function describeStack(stack: Omit<Stack, 'pid' | 'stop'>): string {
  const database =
    stack.database === 'embedded' ? 'PostgreSQL 18, embedded' : 'PostgreSQL, the one of DATABASE_URL'
  return `
Tidings is up.

  API        ${stack.apiUrl}
  Reference  ${stack.apiUrl}/docs
  Worker     ${stack.workerUrl} (its health and metrics)
  Database   ${database}
  Queue      ${describeQueue(stack.queue)}
  Data       ${showPath(stack.dataDir)} (logs in ${showPath(stack.logDir)})
${warnOfDatabase(stack.databaseLeftBehind)}${warnOfQueue(stack.queue)}
Try this in another terminal, in this folder:

  . ${quoteForShell(showPath(stack.devEnvFile))}
  curl -X POST $API_URL/api/v1/email/status/ \\
    -H "Authorization: Bearer $SERVICE_KEY" \\
    -d '{"notification_id": "notif-123", "status": "delivered"}'

Ctrl-C stops everything and keeps the data.
`
}

/** Why the queue is in PostgreSQL, which is the slower of the two. */
const POSTGRES_REASONS = {
  asked: '(as QUEUE_BACKEND says)',
  found: '(there is no Redis; install redis-server for more speed)',
}

function describeQueue({ place, because }: QueueChoice): string {
  if (place === 'redis-given') return 'Redis, the one of REDIS_URL'
  if (place === 'redis-private') return 'Redis, a private one that writes every job to disk'
  return `PostgreSQL ${POSTGRES_REASONS[because]}`
}

/** Each queue that can be left behind, and what it takes to have it again. */
const WAYS_BACK: Record<LeftBehind, [name: string, wayBack: string]> = {
  'redis-given': ['the Redis of REDIS_URL', 'the same REDIS_URL again'],
  'redis-private': ['a private Redis', 'QUEUE_BACKEND=redis with a redis-server installed'],
  'redis-other': ['the Redis of another REDIS_URL', 'that REDIS_URL again'],
  prefix: ['the same Redis under another QUEUE_PREFIX', 'that QUEUE_PREFIX again'],
  postgres: ['PostgreSQL', 'QUEUE_BACKEND=postgres'],
}

const DATABASE_WAYS_BACK: Record<DatabaseBefore, [name: string, wayBack: string]> = {
  embedded: ['the embedded one', 'no DATABASE_URL'],
  given: ['the one of DATABASE_URL', 'the same DATABASE_URL again'],
  other: ['the one of another DATABASE_URL', 'that DATABASE_URL again'],
}

function warnOfDatabase(abandoned: DatabaseBefore | undefined): string {
  if (abandoned === undefined) return ''
  const [name, wayBack] = DATABASE_WAYS_BACK[abandoned]
  return `
  Warning: until now the database was ${name}.
  What is in it stays there: users, events, keys. Back to it:
  ${wayBack}
`
}

function warnOfQueue({ abandoned }: QueueChoice): string {
  if (abandoned === undefined) return ''
  const [name, wayBack] = WAYS_BACK[abandoned]
  return `
  Warning: until now the queue was in ${name}.
  Its events and dead letters stay there, where dlq list does not show them and
  doctor calls their events lost. Back to them:
  ${wayBack}
`
}

/** As one would type it: from here when it is below, whole otherwise. */
function showPath(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere.startsWith('..') ? path : `.${sep}${fromHere}`
}
