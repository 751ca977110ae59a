import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/*
 * npm run bench:test: types, and the tests that need the packages of the peers. `npm test` does without both.
 */
const BENCH = fileURLToPath(new URL('../..', import.meta.url))
const STEPS: [command: string, args: string[]][] = [
  ['tsc', ['--project', BENCH]],
  ['vitest', ['run', '--config', `${BENCH}/vitest.config.ts`, ...process.argv.slice(2)]],
]

for (const [command, args] of STEPS) {
  const [code] = await once(spawn(command, args, { stdio: 'inherit' }), 'exit')
  if (code !== 0) process.exit(code ?? 1)
}
