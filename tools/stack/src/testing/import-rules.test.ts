import { execFile } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { makeTestFolder, useReleaser } from './test-context.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const releaser = useReleaser()

/** The packages of a small workspace with the repository's shape. */
const PACKAGES = {
  api: 'apps/api',
  worker: 'apps/worker',
  db: 'packages/db',
  shared: 'packages/shared',
  stack: 'tools/stack',
  example: 'examples/example',
}

const importOf = (specifier: string) => `import { x } from '${specifier}'\nexport const y = x`
const EXPORT = 'export const x = 1'

/** What a rule must find, and the files that break it. All files live in one workspace: the names are unique. */
const cases: [what: string, rules: string[], files: Record<string, string>][] = [
  [
    'a cycle, even of types',
    ['no-cycles'],
    {
      'packages/db/src/cycle-a.ts':
        "import { b } from './cycle-b.ts'\nexport const a = () => b()\nexport interface A { x: 1 }",
      'packages/db/src/cycle-b.ts':
        "import type { A } from './cycle-a.ts'\nexport const b = (): A => ({ x: 1 })",
    },
  ],
  [
    'an app that imports an app by its package name',
    ['apps-do-not-know-each-other'],
    { 'apps/api/src/app-to-app.ts': importOf('@tidings/worker/target') },
  ],
  [
    'a package that imports an app',
    ['packages-do-not-know-apps'],
    { 'packages/db/src/package-to-app.ts': importOf('@tidings/worker/target') },
  ],
  [
    'a package that imports a tool outside its tests',
    ['only-tests-of-packages-know-tools'],
    { 'packages/db/src/package-to-tool.ts': importOf('@tidings/stack/target') },
  ],
  [
    'shared importing the database',
    ['shared-does-no-io'],
    { 'packages/shared/src/shared-to-db.ts': importOf('@tidings/db/target') },
  ],
  [
    'shared reading a file',
    ['shared-does-no-io'],
    {
      'packages/shared/src/shared-to-fs.ts':
        "import { readFileSync } from 'node:fs'\nexport const y = readFileSync",
    },
  ],
  ...['passwords', 'auth', 'sessions'].flatMap((from) =>
    ['users', 'accounts'].map((to): (typeof cases)[number] => [
      `${from} importing ${to}`,
      ['passwords-and-auth-and-sessions-know-no-accounts'],
      { [`apps/api/src/${from}/to-${to}.ts`]: importOf(`../${to}/target.ts`) },
    ]),
  ),
  [
    'passwords importing sessions',
    ['passwords-know-no-sessions'],
    { 'apps/api/src/passwords/to-sessions.ts': importOf('../sessions/target.ts') },
  ],
  [
    'users importing accounts',
    ['users-know-no-accounts'],
    { 'apps/api/src/users/to-accounts.ts': importOf('../accounts/target.ts') },
  ],
  [
    'caches importing users',
    ['caches-know-no-feature'],
    { 'apps/api/src/cache/to-users.ts': importOf('../users/target.ts') },
  ],
  [
    'status importing compose',
    ['only-the-start-composes'],
    { 'apps/api/src/status/to-compose.ts': importOf('../compose/target.ts') },
  ],
  [
    'npm start importing a test module',
    ['npm-start-does-not-know-tests'],
    { 'tools/stack/src/dev/to-testing.ts': importOf('../testing/target.ts') },
  ],
  [
    'a server importing npm start',
    ['servers-do-not-know-npm-start'],
    { 'tools/stack/src/servers/to-dev.ts': importOf('../dev/target.ts') },
  ],
  [
    'an app importing an example',
    ['nothing-builds-on-examples'],
    { 'apps/api/src/app-to-example.ts': importOf('@tidings/example/target') },
  ],
  [
    'an example importing the database',
    ['examples-need-little'],
    { 'examples/example/src/example-to-db.ts': importOf('@tidings/db/target') },
  ],
  [
    'nothing in allowed imports',
    [],
    {
      'examples/example/src/allowed.ts': importOf('@tidings/shared/target'),
      'examples/example/src/allowed.test.ts': importOf('@tidings/stack/target'),
      'apps/api/src/allowed.ts': importOf('@tidings/db/target'),
      'apps/api/src/start-api.ts': importOf('./compose/target.ts'),
      'apps/api/src/compose/allowed.ts': importOf('../accounts/target.ts'),
      'apps/api/src/accounts/allowed.ts': `${importOf('../sessions/target.ts')}\nimport '../passwords/target.ts'`,
      'apps/api/src/cache/allowed.test.ts': importOf('../compose/target.ts'),
      'packages/db/src/allowed.test.ts': importOf('@tidings/stack/target'),
      'packages/shared/src/allowed.ts': "import { hash } from 'node:crypto'\nexport const y = hash",
    },
  ],
]

/** What the files above import. */
const targets: Record<string, string> = {
  ...Object.fromEntries(Object.values(PACKAGES).map((folder) => [`${folder}/src/target.ts`, EXPORT])),
  ...Object.fromEntries(
    ['users', 'accounts', 'sessions', 'passwords', 'compose'].map((folder) => [
      `apps/api/src/${folder}/target.ts`,
      EXPORT,
    ]),
  ),
  ...Object.fromEntries(['dev', 'testing'].map((folder) => [`tools/stack/src/${folder}/target.ts`, EXPORT])),
}

const reportSchema = z.object({
  summary: z.object({
    violations: z.array(z.object({ rule: z.object({ name: z.string() }), from: z.string() })),
  }),
})
let violations: z.infer<typeof reportSchema>['summary']['violations']

beforeAll(async () => {
  const folder = await makeTestFolder(releaser)
  await mkdir(join(folder, 'node_modules/@tidings'), { recursive: true })
  for (const [name, path] of Object.entries(PACKAGES)) {
    const manifest = { name: `@tidings/${name}`, type: 'module', exports: { './*': './src/*.ts' } }
    await mkdir(join(folder, path, 'src'), { recursive: true })
    await writeFile(join(folder, path, 'package.json'), JSON.stringify(manifest))
    await symlink(join(folder, path), join(folder, 'node_modules/@tidings', name))
  }
  for (const files of [targets, ...cases.map(([, , caseFiles]) => caseFiles)]) {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
  }
  const config = join(ROOT, '.dependency-cruiser.json')
  const program = join(ROOT, 'node_modules/.bin/depcruise')
  const args = ['--config', config, '--output-type', 'json', 'apps', 'packages', 'tools', 'examples']
  const output = await new Promise<string>((resolve) => {
    execFile(program, args, { cwd: folder, maxBuffer: 2 ** 24 }, (_, stdout) => resolve(stdout))
  })
  violations = reportSchema.parse(JSON.parse(output)).summary.violations
})

test.for(cases)('the import rules find %s', ([, rules, files]) => {
  const found = violations.filter(({ from }) => from in files).map(({ rule }) => rule.name)
  expect([...new Set(found)]).toEqual(rules)
})

test('every import rule has a file here that breaks it', async () => {
  const config = z
    .object({ forbidden: z.array(z.object({ name: z.string() })) })
    .parse((await import(join(ROOT, '.dependency-cruiser.json'), { with: { type: 'json' } })).default)
  const broken = new Set(violations.map(({ rule }) => rule.name))
  expect(config.forbidden.map(({ name }) => name).filter((name) => !broken.has(name))).toEqual([])
})
