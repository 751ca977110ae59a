import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { type ListView, type OutputFormat, openList, writeList } from './output.ts'
import { createTerminal } from './terminal.ts'

interface Item {
  name: string
  tags: string[]
}

const ITEMS: Item[] = ['a', 'bb', 'ccc'].map((name) => ({ name, tags: [name, '\n  ]'] }))
const VIEW: ListView<Item> = {
  columns: [
    { title: 'NAME', cell: ({ name }) => name },
    { title: 'TAGS', cell: ({ tags }) => tags.join(), raw: ({ tags }) => JSON.stringify(tags) },
  ],
  json: (item) => item,
  id: ({ name }) => name,
}

/** The output of a list that is written part by part. */
async function write(parts: readonly Item[][], output: OutputFormat | undefined, isTTY: boolean) {
  const stdout = Object.assign(new PassThrough(), { isTTY, columns: 80 })
  const terminal = createTerminal({ stdin: new PassThrough(), stdout, stderr: new PassThrough() }, false)
  const context = { terminal, globals: { output } }
  const [only] = parts
  if (parts.length === 1 && only) await writeList(context, only, VIEW)
  else {
    const list = openList(context, VIEW)
    for (const part of parts) await list.write(part)
    await list.end()
  }
  stdout.end()
  return text(stdout)
}

test.each([true, false])(
  'a list written part by part equals one written at once (terminal: %s)',
  async (isTTY) => {
    for (const output of ['json', 'ndjson', 'id', 'table', undefined] as const) {
      const whole = await write([ITEMS], output, isTTY)
      expect(whole).toContain('ccc')
      expect(await write([ITEMS.slice(0, 1), [], ITEMS.slice(1)], output, isTTY)).toBe(whole)
      expect(await write([[], ITEMS], output, isTTY)).toBe(whole)
    }
    const json = `${JSON.stringify(ITEMS, null, isTTY ? 2 : 0)}\n`
    expect(await write([ITEMS], 'json', isTTY)).toBe(json)
    expect(await write([[], []], 'json', isTTY)).toBe('[]\n')
  },
)
