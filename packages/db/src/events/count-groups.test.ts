import { makeEvent } from '@tidings/shared/testing/make-event'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CountGroups, OTHER } from './count-groups.ts'

const many = (count: number, make: (n: number) => object) =>
  Array.from({ length: count }, (_, n) => ({ ...makeEvent(), ...make(n) }))

describe('the groups of a batch', () => {
  it('hold every event once, each group once, in an order that does not depend on that of the events', () => {
    const event = fc.record({
      status: fc.constantFrom('sent' as const, 'bounced' as const),
      provider: fc.constantFrom(undefined, 'ses', 'ses\n', OTHER),
      category: fc.constantFrom(undefined, 'receipt'),
      received_at: fc.constantFrom(
        '2026-01-31T10:59:59.999Z',
        '2026-01-31T10:00Z',
        '2026-01-31T16:15:00+05:30',
        '2026-01-31T11:00:00.000+01:00',
        '2026-01-31T11:00:00.000Z',
      ),
    })
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), (given) => {
        const events = given.map((fields) => ({ ...makeEvent(), ...fields }))
        const { groups, indexes } = new CountGroups().assign(events)
        expect(groups.reduce((sum, group) => sum + group.events, 0)).toBe(events.length)
        const rows = groups.map(({ events: _, hour, ...names }) =>
          [Date.parse(hour), ...Object.values(names)].join(),
        )
        expect(new Set(rows).size).toBe(groups.length)
        events.forEach((event, index) => {
          const group = groups[indexes[index] ?? -1]
          expect(group).toMatchObject({ status: event.status, provider: event.provider ?? '' })
          expect(Math.floor(Date.parse(event.received_at) / 3_600_000)).toBe(
            Date.parse(group?.hour ?? '') / 3_600_000,
          )
        })
        expect(new CountGroups().assign(events.toReversed()).groups).toEqual(groups)
      }),
    )
  })

  it('count further providers of a source as "other", and leave other sources alone', () => {
    const groups = new CountGroups()
    const names = (events: ReturnType<typeof many>) =>
      groups
        .assign(events)
        .groups.map(({ source, provider, category }) => `${source} ${provider} ${category}`)
    expect(
      names(many(5_000, (n) => ({ source: 'hostile', provider: `p${n}`, category: `c${n}` }))),
    ).toHaveLength(101)
    expect(names(many(1, () => ({ source: 'hostile', provider: 'late', category: 'late' })))).toEqual([
      'hostile other other',
    ])
    expect(names(many(1, () => ({ source: 'good', provider: 'ses' })))).toEqual(['good ses '])
  })

  it('count further sources as "other"', () => {
    const { groups } = new CountGroups().assign(many(3_000, (n) => ({ source: `source ${n}` })))
    expect(groups).toHaveLength(501)
    expect(groups.find(({ source }) => source === OTHER)?.events).toBe(2_500)
  })

  it('take new names in the next hour', () => {
    let now = 0
    const groups = new CountGroups(() => now)
    groups.assign(many(200, (n) => ({ provider: `p${n}` })))
    const late = many(1, () => ({ provider: 'late' }))
    expect(groups.assign(late).groups).toMatchObject([{ provider: OTHER }])
    now += 3_600_000
    expect(groups.assign(late).groups).toMatchObject([{ provider: 'late' }])
  })
})
