import { describe, expect, it } from 'vitest'
import type { ServicePrincipal } from '../http/principal.ts'
import { EventLimits } from './event-limits.ts'

const makeService = (limit?: ServicePrincipal['limit']): ServicePrincipal => ({
  kind: 'service',
  id: 'key',
  name: 'email-service',
  scopes: new Set(),
  limit,
})

describe('the events of a service key', () => {
  it('are limited to the burst, and then to the rate', () => {
    let nowMs = 0
    const limits = new EventLimits(() => nowMs)
    const service = makeService({ eventsPerSecond: 10, burst: 3 })
    const attempt = () => {
      try {
        limits.take(service)
        return 'taken'
      } catch (error) {
        return error
      }
    }
    expect([attempt(), attempt(), attempt()]).toEqual(['taken', 'taken', 'taken'])
    expect(attempt()).toMatchObject({ code: 'rate_limited', retryAfterSeconds: 0.1 })
    nowMs = 100
    expect(attempt()).toBe('taken')
    expect(attempt()).toMatchObject({ code: 'rate_limited' })
    // A long pause earns a burst, not more.
    nowMs = 60_000
    expect([attempt(), attempt(), attempt()]).toEqual(['taken', 'taken', 'taken'])
    expect(attempt()).toMatchObject({ code: 'rate_limited' })
  })

  it('include all of a batch, which may be larger than the burst: later requests wait', () => {
    let nowMs = 0
    const limits = new EventLimits(() => nowMs)
    const service = makeService({ eventsPerSecond: 100, burst: 10 })
    limits.take(service)
    limits.takeMore(service, 499)
    expect(() => limits.take(service)).toThrow(expect.objectContaining({ retryAfterSeconds: 4.91 }))
    nowMs = 4_910
    limits.take(service)
  })

  it('are not limited without a limit', () => {
    const limits = new EventLimits(() => 0)
    const service = makeService()
    for (let taken = 0; taken < 10_000; taken++) limits.take(service)
    limits.takeMore(service, 500)
    limits.take(service)
  })
})
