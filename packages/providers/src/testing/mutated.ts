import fc from 'fast-check'

/** Texts that stores, schemas and regular expressions stumble over. */
const NASTY_TEXTS = [
  '',
  ' ',
  '.',
  '\0',
  'a\0b',
  '\uD800',
  `${'x'.repeat(4095)}😀`,
  'x'.repeat(10_000),
  '9'.repeat(400),
  '-1',
  '1e400',
  'NaN',
  'null',
  '2026-02-30T25:00:00Z',
  '+275760-09-13T00:00:00.000Z',
  '9999-12-31T23:59:59.999-23:59',
  '__proto__',
  'constructor',
  '550 '.repeat(2000),
]

const nastyKey = fc.constantFrom('__proto__', 'constructor', 'toString', 'length', '0', 'then')
const nastyValue = fc.oneof(
  fc.constantFrom(...NASTY_TEXTS),
  fc.constantFrom(null, true, false, [], {}, 0, -1, 1.5, 1e21, 2 ** 53, -(2 ** 53), 253402300800, 1e308),
  fc.jsonValue({ maxDepth: 4 }),
  fc.string({ unit: 'binary' }),
)

/** The places of a JSON value, as lists of keys. */
function placesOf(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, member]) => placesOf(member, [...path, key]))]
}

type Change = { at: number; kind: 'replace' | 'remove' | 'add'; key: string; value: unknown }

function applyChange(payload: unknown, { at, kind, key, value }: Change): unknown {
  const places = placesOf(payload)
  const path = places[at % places.length] ?? []
  const last = path.at(-1)
  if (last === undefined) return kind === 'replace' ? value : payload
  const copy = structuredClone(payload)
  let parent = copy as Record<string, unknown>
  for (const step of path.slice(0, -1)) parent = parent[step] as Record<string, unknown>
  if (kind === 'remove') delete parent[last]
  else
    Object.defineProperty(parent, kind === 'add' && !Array.isArray(parent) ? key : last, {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    })
  return copy
}

/** A provider's payload with one to four changes, or any JSON at all. */
export function mutatedPayload(fixtures: readonly unknown[]): fc.Arbitrary<unknown> {
  const change = fc.record({
    at: fc.nat(1000),
    kind: fc.constantFrom<Change['kind']>('replace', 'replace', 'remove', 'add'),
    key: nastyKey,
    value: nastyValue,
  })
  const mutated = fc
    .tuple(fc.constantFrom(...fixtures), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([fixture, changes]) => changes.reduce(applyChange, fixture))
  return fc.oneof({ weight: 9, arbitrary: mutated }, { weight: 1, arbitrary: fc.jsonValue() })
}
