import { execFile } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { makeTestFolder, useReleaser } from './test-context.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const releaser = useReleaser()

const reportSchema = z.object({
  summary: z.object({
    violations: z.array(z.object({ rule: z.object({ name: z.string() }), from: z.string() })),
  }),
})

/** The packages of a small workspace that has the shape of this one. */
const PACKAGES = {
  api: 'apps/api',
  worker: 'apps/worker',
  db: 'packages/db',
  shared: 'packages/shared',
  stack: 'tools/stack',
}

/** Its files. Each comment names the rule that the line breaks. */
const FILES = {
  'apps/api/src/good.ts': "import { one } from '@tidings/db/one'\nexport const good = one",
  // apps-do-not-know-each-other
  'apps/api/src/uses-app.ts': "import { one } from '@tidings/worker/one'\nexport const bad = one",
  'apps/worker/src/one.ts': 'export const one = 1',
  'packages/db/src/one.ts': 'export const one = 1',
  // no-cycles, through types
  'packages/db/src/cycle-a.ts':
    "import { b } from './cycle-b.ts'\nexport const a = () => b()\nexport interface A { x: 1 }",
  'packages/db/src/cycle-b.ts': "import type { A } from './cycle-a.ts'\nexport const b = (): A => ({ x: 1 })",
  // packages-do-not-know-apps
  'packages/db/src/uses-app.ts': "import { one } from '@tidings/worker/one'\nexport const bad = one",
  // only-tests-of-packages-know-tools
  'packages/db/src/uses-tool.ts': "import { one } from '@tidings/stack/one'\nexport const bad = one",
  'packages/db/src/good.test.ts': "import { one } from '@tidings/stack/one'\nexport const good = one",
  // shared-does-no-io
  'packages/shared/src/uses-db.ts': "import { one } from '@tidings/db/one'\nexport const bad = one",
  'tools/stack/src/one.ts': 'export const one = 1',
  // npm-start-does-not-know-tests
  'tools/stack/src/dev/uses-test.ts': "import { one } from '../testing/one.ts'\nexport const bad = one",
  // servers-do-not-know-npm-start
  'tools/stack/src/servers/uses-dev.ts':
    "import { bad } from '../dev/uses-test.ts'\nexport const worse = bad",
  'tools/stack/src/testing/one.ts': 'export const one = 1',
}

/** Runs the import rules of this repository over the small workspace. Returns "file: rule" of each violation. */
async function findViolations(): Promise<string[]> {
  const folder = await makeTestFolder(releaser)
  await mkdir(join(folder, 'node_modules/@tidings'), { recursive: true })
  for (const [name, path] of Object.entries(PACKAGES)) {
    const manifest = { name: `@tidings/${name}`, type: 'module', exports: { './*': './src/*.ts' } }
    await mkdir(join(folder, path, 'src'), { recursive: true })
    await writeFile(join(folder, path, 'package.json'), JSON.stringify(manifest))
    await symlink(join(folder, path), join(folder, 'node_modules/@tidings', name))
  }
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const config = join(ROOT, '.dependency-cruiser.json')
  const program = join(ROOT, 'node_modules/.bin/depcruise')
  const output = await new Promise<string>((resolve) => {
    const args = ['--config', config, '--output-type', 'json', 'apps', 'packages', 'tools']
    execFile(program, args, { cwd: folder }, (_, stdout) => resolve(stdout))
  })
  return reportSchema
    .parse(JSON.parse(output))
    .summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`)
}

test('each import rule finds its violation, and nothing else', async () => {
  const found = new Set(await findViolations())
  expect([...found].sort()).toEqual([
    'apps/api/src/uses-app.ts: apps-do-not-know-each-other',
    'packages/db/src/cycle-a.ts: no-cycles',
    'packages/db/src/uses-app.ts: packages-do-not-know-apps',
    'packages/db/src/uses-tool.ts: only-tests-of-packages-know-tools',
    'packages/shared/src/uses-db.ts: shared-does-no-io',
    'tools/stack/src/dev/uses-test.ts: npm-start-does-not-know-tests',
    'tools/stack/src/servers/uses-dev.ts: servers-do-not-know-npm-start',
  ])
})
