import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { useReleaser } from './test-context.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const releaser = useReleaser()

const reportSchema = z.object({
  summary: z.object({
    violations: z.array(z.object({ rule: z.object({ name: z.string() }), from: z.string() })),
  }),
})

/** Runs the repository's import rules over a small workspace of the same shape. */
async function findViolations(files: Record<string, string>): Promise<string[]> {
  const folder = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-rules-')), (path) =>
    rm(path, { recursive: true, force: true }),
  )
  await mkdir(join(folder, 'node_modules/@tidings'), { recursive: true })
  for (const [name, room] of [
    ['api', 'apps/api'],
    ['worker', 'apps/worker'],
    ['db', 'packages/db'],
    ['shared', 'packages/shared'],
    ['stack', 'tools/stack'],
  ] as const) {
    const manifest = { name: `@tidings/${name}`, type: 'module', exports: { './*': './src/*.ts' } }
    await mkdir(join(folder, room, 'src'), { recursive: true })
    await writeFile(join(folder, room, 'package.json'), JSON.stringify(manifest))
    await symlink(join(folder, room), join(folder, 'node_modules/@tidings', name))
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const config = join(ROOT, '.dependency-cruiser.json')
  const program = join(ROOT, 'node_modules/.bin/depcruise')
  const output = await new Promise<string>((resolve) => {
    const args = ['--config', config, '--output-type', 'json', 'apps', 'packages', 'tools']
    execFile(program, args, { cwd: folder }, (_, stdout) => resolve(stdout))
  })
  return reportSchema.parse(JSON.parse(output)).summary.violations.map(({ rule }) => rule.name)
}

test.for([
  [
    'a cycle of types',
    ['no-cycles'],
    {
      'packages/db/src/a.ts':
        "import { b } from './b.ts'\nexport const a = () => b()\nexport interface A { x: 1 }",
      'packages/db/src/b.ts': "import type { A } from './a.ts'\nexport const b = (): A => ({ x: 1 })",
    },
  ],
  [
    'an app that imports an app by its package name',
    ['apps-do-not-know-each-other'],
    {
      'apps/api/src/a.ts': "import { b } from '@tidings/worker/b'\nexport const a = b",
      'apps/worker/src/b.ts': 'export const b = 1',
    },
  ],
  [
    'a package that imports an app',
    ['packages-do-not-know-apps'],
    {
      'packages/db/src/a.ts': "import { b } from '@tidings/worker/b'\nexport const a = b",
      'apps/worker/src/b.ts': 'export const b = 1',
    },
  ],
  [
    'a package that imports a tool, and is no test',
    ['only-tests-of-packages-know-tools'],
    {
      'packages/db/src/a.ts': "import { b } from '@tidings/stack/b'\nexport const a = b",
      'tools/stack/src/b.ts': 'export const b = 1',
    },
  ],
  [
    'the contract that imports the database',
    ['shared-does-no-io'],
    {
      'packages/shared/src/a.ts': "import { b } from '@tidings/db/b'\nexport const a = b",
      'packages/db/src/b.ts': 'export const b = 1',
    },
  ],
  [
    'the contract that reads a file',
    ['shared-does-no-io'],
    { 'packages/shared/src/a.ts': "import { readFileSync } from 'node:fs'\nexport const a = readFileSync" },
  ],
  [
    'nothing wrong',
    [],
    {
      'packages/shared/src/a.ts': "import { hash } from 'node:crypto'\nexport const a = hash",
      'apps/api/src/a.ts': "import { b } from '@tidings/db/b'\nexport const a = b",
      'packages/db/src/b.ts': 'export const b = 1',
      'packages/db/src/b.test.ts': "import { c } from '@tidings/stack/c'\nexport const b = c",
      'tools/stack/src/c.ts': 'export const c = 1',
    },
  ],
] as const)('the import rules report %s', async ([, rules, files]) => {
  const found = await findViolations(files)
  expect([...new Set(found)]).toEqual(rules)
})
