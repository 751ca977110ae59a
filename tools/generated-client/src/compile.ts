import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const TSC = fileURLToPath(import.meta.resolve('typescript/package.json', import.meta.url)).replace(
  'package.json',
  'bin/tsc',
)
const OPTIONS = [
  '--noEmit',
  '--strict',
  '--allowImportingTsExtensions',
  '--module',
  'nodenext',
  '--target',
  'es2024',
]

/** Checks the types of a file and of what it imports. Returns the compiler's complaints: '' when there are none. */
export const compile = (file: string, cwd: string, options: readonly string[] = []): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, [TSC, ...OPTIONS, ...options, file], { cwd }, (error, stdout) =>
      resolve(error === null ? '' : `${error.message}${stdout}`),
    )
  })
