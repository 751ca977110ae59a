import { execFile } from 'node:child_process'
import { copyFile, glob, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { z } from 'zod'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const SOURCE = join(ROOT, 'packages/producer')
export const COMPILER = join(ROOT, 'node_modules/typescript/bin/tsc')

const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  type: z.string(),
  engines: z.object({ node: z.string() }),
})
const workspaceSchema = z.object({ catalog: z.record(z.string(), z.string()) })

/**
 * Writes the package as it is installed outside of this repository: JavaScript and types, with what it uses of the other
 * packages in it.
 *
 * @param folder is replaced.
 */
export async function buildPackage(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  const project = join(SOURCE, 'build/tsconfig.json')
  await promisify(execFile)(process.execPath, [COMPILER, '--project', project, '--outDir', folder])
  const dependencies = new Set<string>()
  for await (const file of glob('**/*.{js,d.ts}', { cwd: folder })) {
    const path = join(folder, file)
    const { text, packages } = resolveImports(await readFile(path, 'utf8'), file)
    for (const name of packages) dependencies.add(name)
    await writeFile(path, text)
  }
  await writeFile(join(folder, 'package.json'), await makeManifest([...dependencies].sort()))
  await copyFile(join(SOURCE, 'README.md'), join(folder, 'README.md'))
  await copyFile(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
}

const IMPORT = /(?<=\bfrom |\bimport\()'([^']+)'/g

/** Lets imports name the files that the compiler wrote, and collects the packages that others must install. */
function resolveImports(source: string, file: string): { text: string; packages: string[] } {
  const packages: string[] = []
  const text = source.replace(IMPORT, (quoted, specifier: string) => {
    const [, name, module] = /^@tidings\/([^/]+)\/(.+)$/.exec(specifier) ?? []
    if (name !== undefined) return `'${toRelative(dirname(file), `${name}/src/${module}.js`)}'`
    // The compiler leaves these as they are in types.
    if (specifier.startsWith('.')) return quoted.replace(/\.ts'$/, ".js'")
    if (!specifier.startsWith('node:')) packages.push(specifier)
    return quoted
  })
  return { text, packages }
}

function toRelative(from: string, to: string): string {
  const path = relative(from, to)
  return path.startsWith('.') ? path : `./${path}`
}

async function makeManifest(dependencies: readonly string[]): Promise<string> {
  const manifest = manifestSchema.parse(JSON.parse(await readFile(join(SOURCE, 'package.json'), 'utf8')))
  const { catalog } = workspaceSchema.parse(parse(await readFile(join(ROOT, 'pnpm-workspace.yaml'), 'utf8')))
  const entry = './producer/src/producer'
  const content = {
    ...manifest,
    exports: { '.': { types: `${entry}.d.ts`, default: `${entry}.js` } },
    files: ['producer', 'queue', 'runtime', 'shared'],
    dependencies: Object.fromEntries(
      dependencies.map((name) => [name, `^${z.string().parse(catalog[name])}`]),
    ),
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
