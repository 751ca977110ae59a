import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')
const { license, version } = z
  .object({ license: z.string(), version: z.string() })
  .parse(JSON.parse(await read('package.json')))

test('the license that package.json names is in the repository', async () => {
  expect(license).toBe('MIT')
  expect(await read('LICENSE')).toMatch(/^MIT License\n/)
})

test('the changelog begins with the version of package.json', async () => {
  expect(/^## (\S+)/m.exec(await read('CHANGELOG.md'))?.[1]).toBe(version)
})

test('SECURITY.md says how to report a vulnerability', async () => {
  expect(await read('SECURITY.md')).toMatch(/^## Reporting$/m)
})
