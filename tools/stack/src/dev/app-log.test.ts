import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { waitFor } from '../servers/wait-for.ts'
import { openAppLog } from './app-log.ts'

const FULL = '/dev/full'
const hasFull = existsSync(FULL)

test.skipIf(!hasFull)(
  `a log for which the disk has no room is missed once, and nothing ends${hasFull ? '' : ': NO /dev/full HERE'}`,
  async () => {
    const said: string[] = []
    const log = openAppLog('api', FULL, (text) => void said.push(text))
    log.write('{"level":30,"msg":"one"}')
    await waitFor('the failure to be said', () => said.length === 1)
    expect(said[0]).toMatch(/^api: its log \/dev\/full is not written any more \(ENOSPC/)
    log.write('{"level":30,"msg":"two"}')
    log.write('{"level":50,"msg":"three"}')
    await log.close()
    expect(said.slice(1)).toEqual(['api: error: three'])
  },
)
