import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { waitFor } from '../servers/wait-for.ts'
import { openAppLog, toSentence } from './app-log.ts'

const FULL = '/dev/full'
const hasFull = existsSync(FULL)

test.skipIf(!hasFull)(
  `reports a full disk once and goes on showing errors${hasFull ? '' : ': NO /dev/full HERE'}`,
  async () => {
    const shown: string[] = []
    const log = openAppLog('api', FULL, (text) => void shown.push(text))
    log.write('{"level":"info","msg":"one"}')
    await waitFor('the failure to be reported', () => shown.length === 1)
    expect(shown[0]).toMatch(/^api: \/dev\/full is no longer written \(ENOSPC/)
    log.write('{"level":"info","msg":"two"}')
    log.write('{"level":"error","msg":"three"}')
    await log.close()
    expect(shown.slice(1)).toEqual(['api: error: three'])
  },
)

test.for([
  ['{"level":"info","time":"t","service":"api","msg":"listening"}', undefined],
  [
    '{"level":"warn","time":"t","service":"api","msg":"queue is away","waitMs":50}',
    'warning: queue is away waitMs=50',
  ],
  ['{"level":"error","msg":"failed","error":"no"}', 'error: failed error=no'],
  ['Error: a crash', 'Error: a crash'],
  ['', undefined],
] as const)('the terminal shows the log line %s as %s', ([line, shown]) => {
  expect(toSentence(line)).toBe(shown)
})
