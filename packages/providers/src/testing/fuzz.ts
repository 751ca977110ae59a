import { findUnsafeJson } from '@tidings/shared/json'
import { statusReportSchema } from '@tidings/shared/status-event'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { HookPayload } from '../provider.ts'

/** Values that parsers and stores stumble over. */
const hostile = fc.constantFrom<unknown>(
  null,
  true,
  -1,
  1e300,
  Number.MAX_SAFE_INTEGER + 2,
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '.',
  '..',
  '__proto__',
  'constructor',
  '<>',
  'x'.repeat(5000),
  '9999-12-31T23:59:59.999Z',
  [],
  {},
  [null],
  JSON.parse('{"__proto__": {"notification_id": "n"}}'),
)

interface Place {
  parent: Record<string, unknown>
  key: string
}

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return []
  const parent = value as Record<string, unknown>
  return Object.keys(parent).flatMap((key) => [{ parent, key }, ...placesIn(parent[key])])
}

const change = fc.record({
  at: fc.nat(),
  value: fc.oneof(hostile, fc.jsonValue({ maxDepth: 3 })),
  removes: fc.boolean(),
})

/** One of the samples with up to four members replaced or removed, anywhere in it. */
export const mutationOf = (samples: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 4 }))
    .map(([sample, changes]): unknown => {
      const mutated = structuredClone(sample)
      for (const { at, value, removes } of changes) {
        const places = placesIn(mutated)
        const place = places[at % places.length]
        if (place === undefined) continue
        if (removes) delete place.parent[place.key]
        else place.parent[place.key] = structuredClone(value)
      }
      return mutated
    })

/** Whatever was sent: each report can be accepted and stored, once its notification is known. */
export function expectUsable(payload: HookPayload): void {
  if (payload.kind !== 'events') return
  for (const event of payload.events) {
    if (event.outcome !== 'report') continue
    const { report } = event
    expect(report.notification_id ?? report.provider_message_id).toBeDefined()
    const parsed = statusReportSchema.safeParse({ notification_id: 'n', ...withoutUndefined(report) })
    expect(parsed.error?.issues).toBeUndefined()
    expect(findUnsafeJson(report)).toBeUndefined()
  }
}

const withoutUndefined = (report: object) => JSON.parse(JSON.stringify(report)) as object
