import { randomUUID } from 'node:crypto'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { availableBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TestWorker } from '../testing/test-worker.ts'
import { BurialLog } from './burial-log.ts'

const log = createLogger('test', 'silent')

function watchLog() {
  const warn = vi.spyOn(log, 'warn').mockClear()
  return { lines: () => warn.mock.calls as unknown as [Record<string, unknown>, string][] }
}

describe('the log of burials', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('has one line a group and second, with reason, code, fingerprint and a dead letter', () => {
    const { lines } = watchLog()
    const burials = new BurialLog(log)
    const unknown = makeFailedEvent({
      reason: 'unknown_user',
      error: { code: 'unknown_user', message: 'No user 1.' },
    })
    const invalid = makeFailedEvent({
      reason: 'invalid_event',
      error: { code: 'invalid_event', message: 'status' },
    })
    burials.record([unknown, unknown, invalid])
    burials.record([unknown])
    expect(lines()).toEqual([])
    vi.advanceTimersByTime(1_000)
    const fingerprint = expect.stringMatching(/^[0-9a-f]{12}$/)
    expect(lines()).toEqual([
      [
        {
          reason: 'unknown_user',
          code: 'unknown_user',
          fingerprint,
          events: 3,
          sample: deadLetterId(unknown),
        },
        'dead letters written',
      ],
      [
        {
          reason: 'invalid_event',
          code: 'invalid_event',
          fingerprint,
          events: 1,
          sample: deadLetterId(invalid),
        },
        'dead letters written',
      ],
    ])
    vi.advanceTimersByTime(5_000)
    expect(lines()).toHaveLength(2)
    burials.record([invalid])
    burials.flush()
    expect(lines()).toHaveLength(3)
  })

  it('counts the groups beyond the twentieth in one line', () => {
    const { lines } = watchLog()
    const burials = new BurialLog(log)
    const codes = Array.from({ length: 25 }, (_, n) => `code-${String.fromCharCode(97 + n)}`)
    burials.record(codes.map((code) => makeFailedEvent({ error: { code, message: 'no' } })))
    burials.flush()
    expect(lines()).toHaveLength(21)
    expect(lines().at(-1)).toEqual([{ groups: 5, events: 5 }, 'more dead letters written'])
  })
})

describe('the worker', () => {
  const releaser = useReleaser()

  it('logs the burial of unknown users and of unreadable events', async () => {
    const { lines } = watchLog()
    const [kind = 'postgres'] = availableBackends()
    const worker = await TestWorker.start(kind, releaser, { log })
    await worker.enqueue(makeEvent({ user_id: randomUUID() }), { ...makeEvent(), status: 'lost' })
    const buried = await waitFor('both lines', () => {
      const found = lines().filter(([, text]) => text === 'dead letters written')
      return found.length === 2 && found
    })
    expect(buried.map(([fields]) => fields.reason).toSorted()).toEqual(['invalid_event', 'unknown_user'])
  })
})
