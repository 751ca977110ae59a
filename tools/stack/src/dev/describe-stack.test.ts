import { expect, test } from 'vitest'
import type { QueueChoice } from './choose-queue.ts'
import { describeStack } from './describe-stack.ts'
import type { DatabasePlace, MailPlace } from './stack.ts'

const describeWith = (
  queue: QueueChoice,
  database: DatabasePlace = 'embedded',
  dataDir = '/data',
  mail: MailPlace = 'mailbox',
) =>
  describeStack({
    apiUrl: 'http://localhost:8001',
    workerUrl: 'http://127.0.0.1:8002',
    dataDir,
    devEnvFile: `${dataDir}/dev.env`,
    logDir: `${dataDir}/logs`,
    database,
    queue,
    mail,
  })
const lineOf = (name: string, text: string) => new RegExp(`^  ${name} +(.*)$`, 'm').exec(text)?.[1]

test.for([
  [{ place: 'postgres', reason: 'configured' }, 'PostgreSQL (as QUEUE_BACKEND says)'],
  [
    { place: 'postgres', reason: 'detected' },
    'PostgreSQL (there is no Redis; install redis-server for more speed)',
  ],
  [{ place: 'redis-private', reason: 'detected' }, 'Redis, a private one that writes every job to disk'],
  [{ place: 'redis-external', reason: 'configured' }, 'Redis, the one of REDIS_URL'],
] as const)('the banner of npm start names the queue %o', ([queue, line]) => {
  expect(lineOf('Queue', describeWith(queue))).toBe(line)
})

test('the banner names the database', () => {
  const queue = { place: 'postgres', reason: 'detected' } as const
  expect(lineOf('Database', describeWith(queue, 'embedded'))).toBe('PostgreSQL 18, embedded')
  expect(lineOf('Database', describeWith(queue, 'external'))).toBe('PostgreSQL, the one of DATABASE_URL')
})

test('the banner names the mailbox, unless mails are sent', () => {
  const queue = { place: 'postgres', reason: 'detected' } as const
  expect(lineOf('Mailbox', describeWith(queue))).toBe('http://localhost:8001/dev/mailbox/')
  const sending = describeWith(queue, 'embedded', '/data', 'external')
  expect(lineOf('Mailbox', sending)).toBe('none: SMTP_URL sends real mails')
})

test('the banner quotes a data folder whose name has spaces', () => {
  const text = describeWith({ place: 'postgres', reason: 'detected' }, 'embedded', '/my data')
  expect(text).toContain("\n  . '/my data/dev.env'\n")
})
