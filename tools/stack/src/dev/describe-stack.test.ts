import { describe, expect, test } from 'vitest'
import type { QueueChoice } from './choose-queue.ts'
import { describeStack } from './describe-stack.ts'
import type { DatabaseBefore } from './previous-database.ts'

const describeWith = (queue: QueueChoice, dataDir = '/data', databaseLeftBehind?: DatabaseBefore) =>
  describeStack({
    apiUrl: 'http://localhost:8001',
    workerUrl: 'http://127.0.0.1:8002',
    dataDir,
    devEnvFile: `${dataDir}/dev.env`,
    logDir: `${dataDir}/logs`,
    database: 'embedded',
    databaseLeftBehind,
    queue,
  })

describe('what npm start says of its queue', () => {
  test('why it is in PostgreSQL', () => {
    const reasons = (['asked', 'found'] as const).map(
      (because) => /Queue +(.*)/.exec(describeWith({ place: 'postgres', because }))?.[1],
    )
    expect(reasons).toEqual([
      'PostgreSQL (as QUEUE_BACKEND says)',
      'PostgreSQL (there is no Redis; install redis-server for more speed)',
    ])
  })

  test('a warning when what is in another one stays there', () => {
    const postgres = { place: 'postgres', because: 'asked' } as const
    expect(describeWith(postgres)).not.toContain('Warning')
    expect(describeWith({ ...postgres, abandoned: 'redis-private' })).toContain(
      'Warning: until now the queue was in a private Redis.\n  Its events and dead letters stay there, where dlq list does not show them and\n  doctor calls their events lost. Back to them:\n  QUEUE_BACKEND=redis with a redis-server installed\n',
    )
  })
})

test('a warning when the database is another one than before', () => {
  const queue = { place: 'postgres', because: 'asked' } as const
  expect(describeWith(queue, '/data', 'other')).toContain(
    'Warning: until now the database was the one of another DATABASE_URL.\n  What is in it stays there: users, events, keys. Back to it:\n  that DATABASE_URL again\n',
  )
})

test('what it asks to type can be typed, whatever the folder is called', () => {
  const text = describeWith({ place: 'postgres', because: 'found' }, '/my data')
  expect(text).toContain("\n  . '/my data/dev.env'\n")
})
