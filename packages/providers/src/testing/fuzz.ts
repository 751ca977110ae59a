import fc from 'fast-check'

/** Values that parsers, schemas, stores and regular expressions stumble over. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  false,
  [],
  [null],
  {},
  JSON.parse('{"__proto__": {"notification_id": "n"}}'),
  0,
  -1,
  1.5,
  1e300,
  253402300800,
  2 ** 53,
  -(2 ** 53),
  '',
  ' ',
  '.',
  '..',
  '\0',
  'a\0b',
  '\ud800',
  '<>',
  '__proto__',
  'constructor',
  '-1',
  '1e400',
  'NaN',
  '9'.repeat(400),
  'x'.repeat(10_000),
  `${'x'.repeat(4095)}😀`,
  '550 '.repeat(2000),
  '2026-02-30T25:00:00Z',
  '+275760-09-13T00:00:00.000Z',
  '9999-12-31T23:59:59.999-23:59',
]
const hostileKey = fc.constantFrom('__proto__', 'constructor', 'hasOwnProperty', 'length', '0', 'then')

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
  value: fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue({ maxDepth: 3 }), fc.string({ unit: 'binary' })),
  kind: fc.constantFrom('replace', 'replace', 'remove', 'add'),
  addedKey: hostileKey,
})

/** One of the samples with up to four members replaced, removed or added, anywhere in it. */
export const mutationOf = (samples: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 4 }))
    .map(([sample, changes]): unknown => {
      const mutated = structuredClone(sample)
      for (const { at, value, kind, addedKey } of changes) {
        const places = placesIn(mutated)
        const place = places[at % places.length]
        if (place === undefined) continue
        const { parent, key } = place
        if (kind === 'remove') delete parent[key]
        else setOwn(parent, kind === 'add' && !Array.isArray(parent) ? addedKey : key, structuredClone(value))
      }
      return mutated
    })

/** As JSON.parse does: also for `__proto__`. */
function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true })
}
