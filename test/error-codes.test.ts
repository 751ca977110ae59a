import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { renderErrorCodes } from '../tools/docs/render-error-codes.ts'

test('docs/error-codes.md matches its sources; if not, run npm run docs:errors', async () => {
  const page = await readFile(new URL('../docs/error-codes.md', import.meta.url), 'utf8')
  expect(page).toBe(renderErrorCodes())
})
