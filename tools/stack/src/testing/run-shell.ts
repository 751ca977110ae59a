import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { COMPILE_CACHE } from '../dev/compile-cache.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))

/** Runs commands of the docs in the folder of the checkout, until one fails. */
export function runShell(script: string, env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: { ...COMPILE_CACHE, ...env }, timeout: 150_000 }
    execFile('sh', ['-euc', script], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, output: stdout + stderr })
    })
  })
}
