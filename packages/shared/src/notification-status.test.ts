import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foldNotification, type StatusFact } from './notification-status.ts'
import { STATUSES } from './status-event.ts'

const T0 = Date.UTC(2026, 0, 1)
const at = (seconds: number) => new Date(T0 + seconds * 1000).toISOString()

const factArbitrary: fc.Arbitrary<StatusFact> = fc.record({
  id: fc.uuid(),
  notification_type: fc.constantFrom('email', 'push'),
  user_id: fc.constant(null),
  status: fc.constantFrom(...STATUSES),
  error: fc.constantFrom(
    null,
    'mailbox full',
    { class: 'transient' as const, message: 'later' },
    { class: 'permanent' as const, message: 'no such mailbox' },
  ),
  timestamp: fc.integer({ min: -5, max: 5 }).map(at),
  received_at: fc.integer({ min: 0, max: 3 }).map(at),
  attempt: fc.constantFrom(null, 0, 1, 2, 3),
})
const factsArbitrary = fc.uniqueArray(factArbitrary, { selector: (fact) => fact.id, maxLength: 8 })

function fact(status: StatusFact['status'], more: Partial<StatusFact> = {}): StatusFact {
  return {
    id: '00000000-0000-4000-8000-000000000000',
    notification_type: 'email',
    user_id: null,
    status,
    error: null,
    timestamp: at(0),
    received_at: at(0),
    attempt: null,
    ...more,
  }
}
const statusOf = (...facts: StatusFact[]) => foldNotification(facts).status

describe('the fold over a notification’s events', () => {
  it('does not depend on their order', () => {
    fc.assert(
      fc.property(
        factsArbitrary.chain((facts) =>
          fc.tuple(fc.constant(facts), fc.shuffledSubarray(facts, { minLength: facts.length })),
        ),
        ([facts, shuffled]) => {
          expect(foldNotification(shuffled)).toEqual(foldNotification(facts))
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('does not depend on repetition', () => {
    fc.assert(
      fc.property(factsArbitrary, fc.integer({ min: 2, max: 4 }), (facts, times) => {
        const repeated = Array.from({ length: times }, () => facts).flat()
        expect(foldNotification(repeated)).toEqual(foldNotification(facts))
      }),
    )
  })

  it('gives a complaint precedence over everything', () => {
    fc.assert(
      fc.property(factsArbitrary, (facts) => {
        expect(statusOf(...facts, fact('complained'))).toBe('complained')
      }),
    )
  })

  it('never makes engagement the current status', () => {
    fc.assert(
      fc.property(factsArbitrary, (facts) => {
        const engaged = facts.filter((f) => ['opened', 'clicked', 'unsubscribed'].includes(f.status))
        expect(statusOf(...engaged)).toBeNull()
      }),
    )
  })

  it('lets a permanent bounce stand unless a higher attempt was delivered', () => {
    const bounce = fact('bounced', { id: 'b', attempt: 1, error: { class: 'permanent', message: 'gone' } })
    expect(statusOf(bounce, fact('delivered', { attempt: 1 }))).toBe('bounced')
    expect(statusOf(bounce, fact('delivered', { attempt: 2 }))).toBe('delivered')
  })

  it('ranks delivered above a transient bounce, and suppressed above unfinished attempts', () => {
    const transient = fact('bounced', {
      id: 'b',
      attempt: 1,
      error: { class: 'transient', message: 'later' },
    })
    expect(statusOf(transient, fact('delivered', { attempt: 1 }))).toBe('delivered')
    expect(statusOf(fact('failed', { attempt: 3 }), fact('suppressed', { id: 's' }))).toBe('suppressed')
  })

  it('orders the rest by attempt, then rank, then time', () => {
    expect(statusOf(fact('failed', { attempt: 1 }), fact('sent', { id: 's', attempt: 2 }))).toBe('sent')
    expect(statusOf(fact('deferred'), fact('sent', { id: 's', timestamp: at(-1) }))).toBe('deferred')
  })

  it('clamps a timestamp in the future to the time of receipt', () => {
    const early = fact('sent', { id: 'a', timestamp: at(9_000), received_at: at(1) })
    const late = fact('sent', { id: 'b', timestamp: at(2), received_at: at(3) })
    expect(foldNotification([early, late]).explain).toContain('event b')
    expect(foldNotification([fact('opened', { timestamp: at(50), received_at: at(5) })]).opened_at).toBe(
      at(5),
    )
  })

  it('shows a later final status of a lower attempt in the explanation', () => {
    const sent = fact('sent', { id: 's', attempt: 7 })
    const failed = fact('failed', { id: 'f', attempt: 1, timestamp: at(2), received_at: at(2) })
    const { status, explain } = foldNotification([sent, failed])
    expect(status).toBe('sent')
    expect(explain).toContain(
      'A later event has a lower attempt and does not change this: failed (attempt 1)',
    )
    expect(foldNotification([sent, { ...failed, timestamp: at(-1) }]).explain).not.toContain('A later event')
    expect(foldNotification([sent, { ...failed, status: 'deferred' }]).explain).not.toContain('A later event')
    expect(foldNotification([sent, { ...failed, attempt: 8 }]).explain).not.toContain('A later event')
  })

  it('explains which event decided and why', () => {
    expect(foldNotification([fact('delivered', { attempt: 2 })]).explain).toMatch(
      /^delivered \(attempt 2\) at 2026-01-01T00:00:00.000Z, event 00000000-.*: delivered outranks/,
    )
  })
})
