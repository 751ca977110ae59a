import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusReport } from '@tidings/shared/status-event'
import { describe, expect, it } from 'vitest'
import { Turns } from '../http/turns.ts'
import { validateBatch } from './validate-batch.ts'

const receivedAt = new Date()
const identify = (report: StatusReport) => ({
  event: identifyEvent(report, { type: 'email', source: 'test', receivedAt }),
  refusal: undefined,
})
const makeEntry = (fields: object = {}) => ({ notification_id: 'n-1', status: 'sent', ...fields })

describe('validating a batch', () => {
  it('gives way to others every few milliseconds, and keeps the order', async () => {
    // Each look at the clock is a millisecond later.
    let nowMs = 0
    const turns = new Turns(() => nowMs++)
    let otherTurns = 0
    let timer: NodeJS.Immediate = setImmediate(function others() {
      otherTurns++
      timer = setImmediate(others)
    })
    const entries = Array.from({ length: 500 }, (_, index) => makeEntry({ notification_id: `n-${index}` }))
    const batches = await Promise.all([1, 2].map(() => validateBatch(entries, identify, turns.start())))
    clearImmediate(timer)
    for (const results of batches)
      expect(results.map((result) => result.accepted && result.event.notification_id)).toEqual(
        entries.map((entry) => entry.notification_id),
      )
    expect(otherTurns).toBeGreaterThan(100)
  })

  it('refuses an event that is too large as a single post, before the schema reads it', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, index]))
    const results = await validateBatch([makeEntry({ metadata }), makeEntry()], identify, new Turns().start())
    expect(results).toMatchObject([
      { accepted: false, refusal: { code: 'payload_too_large' } },
      { accepted: true },
    ])
  })

  it('refuses an event that is nested so deeply that it cannot be written', async () => {
    const levels = 20_000
    const deep: unknown = JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`)
    const results = await validateBatch([deep], identify, new Turns().start())
    expect(results).toMatchObject([
      { accepted: false, refusal: { code: 'validation_failed', fields: [{ code: 'too_deep' }] } },
    ])
  })
})
