import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const ROOT = new URL('..', import.meta.url)
const PACKAGES_DB = fileURLToPath(new URL('packages/db/package.json', ROOT))

const workspaceSchema = z.object({
  catalog: z.record(z.string(), z.string()),
  patchedDependencies: z.record(z.string(), z.string()),
})
const manifestSchema = z.object({
  version: z.string(),
  exports: z.record(z.string(), z.unknown()),
  /** Where the patch moves the exports of the unpatched package. */
  exportsAsPublished: z.record(z.string(), z.unknown()),
})

test('the patch of drizzle-orm is still needed', async () => {
  const workspace = workspaceSchema.parse(parse(await readFile(new URL('pnpm-workspace.yaml', ROOT), 'utf8')))
  const version = workspace.catalog['drizzle-orm']
  // A new version needs another look at its manifest: is the patch still needed, and does it still fit?
  expect(Object.keys(workspace.patchedDependencies)).toEqual([`drizzle-orm@${version}`])

  const main = createRequire(PACKAGES_DB).resolve('drizzle-orm')
  const manifest = manifestSchema.parse(
    JSON.parse(await readFile(new URL('package.json', `file://${main}`), 'utf8')),
  )
  expect(manifest.version).toBe(version)
  expect(Object.keys(manifest.exports).length).toBeLessThan(10)
  // When this fails, upstream exports patterns itself: delete the patch, its key in pnpm-workspace.yaml, and this test.
  const published = Object.keys(manifest.exportsAsPublished)
  expect(published.filter((path) => path.includes('*'))).toEqual([])
  expect(published.length).toBeGreaterThan(100)
})
