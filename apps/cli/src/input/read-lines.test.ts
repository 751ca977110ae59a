import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ReadLinesOptions, readLines } from './read-lines.ts'

async function collect(input: Readable, options?: ReadLinesOptions): Promise<string[]> {
  const lines: string[] = []
  for await (const line of readLines(input, options)) lines.push(line)
  return lines
}
const streamOf = (chunks: readonly string[]) => Readable.from(chunks.map((chunk) => Buffer.from(chunk)))

test('yields the lines, wherever the chunks end', async () => {
  const text = fc.array(fc.constantFrom('a', 'é', '\n', '\u2028', '{"b": 1}'), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 8 }), async (chunks) => {
      const parts = chunks.map((chunk) => chunk.join(''))
      const lines = parts.join('').split('\n')
      if (lines.at(-1) === '') lines.pop()
      expect(await collect(streamOf(parts))).toEqual(lines)
    }),
  )
})

test('a line without an end is cut in linear time, and can be interrupted', async () => {
  const chunk = 'x'.repeat(64 * 1024)
  const long = streamOf([...Array.from({ length: 1_000 }, () => chunk), '\n', 'next\n'])
  const lines = await collect(long, { maxLength: 1_000_000 })
  expect(lines.map((line) => line.length)).toEqual([1_000_000, 4])

  const interruption = new AbortController()
  let given = 0
  const endless = Readable.from(
    (async function* () {
      for (;;) {
        if (++given === 100) interruption.abort()
        yield Buffer.from(chunk)
      }
    })(),
  )
  expect(await collect(endless, { signal: interruption.signal })).toEqual([])
})
