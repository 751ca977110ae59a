import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { renderOutboundSchema } from '../tools/docs/render-outbound-schema.ts'

test('docs/outbound-message.schema.json matches its source; if not, run npm run docs:schema', async () => {
  const schema = await readFile(new URL('../docs/outbound-message.schema.json', import.meta.url), 'utf8')
  // The formatter breaks its lines elsewhere.
  expect(JSON.parse(schema)).toEqual(JSON.parse(renderOutboundSchema()))
})
