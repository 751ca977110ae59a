import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const workspaceSchema = z.looseObject({ catalog: z.record(z.string(), z.string()).default({}) })

test('bench/ pins the versions of the catalog and has its security settings', () => {
  const root = workspaceSchema.parse(parse(read('pnpm-workspace.yaml')))
  const bench = z.record(z.string(), z.unknown()).parse(parse(read('bench/pnpm-workspace.yaml')))
  const { dependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read('bench/package.json')))
  const shared = Object.fromEntries(Object.entries(dependencies).filter(([name]) => name in root.catalog))
  expect(root.catalog).toMatchObject(shared)
  for (const name of ['overrides', 'minimumReleaseAge', 'nodeVersion'])
    expect(bench[name]).toEqual(root[name])
})
