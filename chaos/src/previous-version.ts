import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, realpath, symlink } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { inheritedEnv } from './env.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const manifestSchema = z.object({ dependencies: z.record(z.string(), z.string()).default({}) })

/** There is nothing to compare this checkout with, for the reason in the message. */
export class NoPreviousVersionError extends Error {}

/**
 * Writes the code of the commit before HEAD into `dir`. It uses the packages that this checkout has installed.
 *
 * @returns the paths of its programs from the root of this checkout, as `spawnApp` wants them.
 * @throws NoPreviousVersionError without a history, or when a package that the commit needs is not installed any more.
 */
export async function checkOutPreviousVersion(
  dir: string,
): Promise<{ api: string; worker: string; commit: string }> {
  const git = (...args: string[]) => run('git', ['-C', ROOT, ...args], { env: inheritedEnv() })
  const commit = await git('rev-parse', '--short', '--verify', '--quiet', 'HEAD~1').then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
  if (commit === undefined) throw new NoPreviousVersionError('this checkout has no history')
  await mkdir(dir, { recursive: true })
  const archive = join(dir, 'previous.tar')
  await git('archive', `--output=${archive}`, commit, 'apps', 'packages', 'package.json')
  await run('tar', ['-xf', archive, '-C', dir], { env: inheritedEnv() })
  for (const group of ['apps', 'packages'])
    for (const name of await readdir(join(dir, group))) await linkPackages(dir, join(group, name))
  const programOf = (app: string) => relative(ROOT, join(dir, 'apps', app, 'src/main.ts'))
  return { api: programOf('api'), worker: programOf('worker'), commit }
}

/** Gives a package the dependencies that it has in this checkout; those of the workspace come from `dir`. */
async function linkPackages(dir: string, packagePath: string): Promise<void> {
  const installed = join(ROOT, packagePath, 'node_modules')
  const manifest = manifestSchema.parse(
    JSON.parse(await readFile(join(dir, packagePath, 'package.json'), 'utf8')),
  )
  for (const name of Object.keys(manifest.dependencies)) {
    if (!existsSync(join(installed, name)))
      throw new NoPreviousVersionError(`${packagePath} needed ${name}, which is not installed any more`)
    const real = await realpath(join(installed, name))
    const path = relative(ROOT, real)
    const isOurs = !path.split(sep).includes('node_modules') && !path.startsWith('..')
    const link = join(dir, packagePath, 'node_modules', name)
    await mkdir(join(link, '..'), { recursive: true })
    await symlink(isOurs ? join(dir, path) : real, link)
  }
}
