import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'

/** The folder of the Python module. */
const FOLDER = fileURLToPath(new URL('../../clients/python', import.meta.url))

/** Defines a suite that needs Python 3.9 or later. Without it the suite is reported as skipped. */
export function describePython(name: string, suite: () => void): void {
  describe.skipIf(!hasPython())(hasPython() ? name : `${name}: NO PYTHON 3.9 ON THE PATH`, suite)
}

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'])
    return true
  } catch {
    return false
  }
}

export interface PythonRun {
  /** The text of its standard input, which ends when there is one. */
  input?: string | Promise<string>
  env?: Readonly<Record<string, string>>
}

/** Runs Python where it finds the module, with every warning as an error. Returns its standard output. */
export function runPython(
  args: readonly string[],
  { input = '', env = {} }: PythonRun = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const python = execFile(
      'python3',
      ['-W', 'error', ...args],
      // No __pycache__ in the checkout.
      { cwd: FOLDER, env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env }, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => (error ? reject(new Error(stderr, { cause: error })) : resolve(stdout)),
    )
    Promise.resolve(input).then((text) => python.stdin?.end(text), reject)
  })
}
