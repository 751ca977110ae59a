import { spawn } from 'node:child_process'
import { once } from 'node:events'

/*
 * npm test: what is quick to fail comes first. Arguments go to vitest: npm test -- packages/db
 */
const RESULTS_FILE = 'node_modules/.cache/tidings/test-results.json'

const vitestArguments = process.argv.slice(2)

const STEPS: { title: string; command: string; args: string[] }[] = [
  { title: 'format and lint', command: 'biome', args: ['check', '.'] },
  {
    title: 'who may import whom',
    command: 'depcruise',
    args: ['--config', '.dependency-cruiser.json', 'apps', 'packages', 'tools', 'chaos', 'bench'],
  },
  { title: 'types', command: 'tsc', args: ['--noEmit'] },
  {
    title: 'tests',
    command: 'vitest',
    args: [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${RESULTS_FILE}`,
      // The coverage of a part says nothing.
      ...(vitestArguments.length === 0 ? ['--coverage'] : vitestArguments),
    ],
  },
]

let running: ReturnType<typeof spawn> | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => running?.kill(signal))

for (const { title, command, args } of STEPS) {
  process.stderr.write(`\n${title}: ${command} ${args[0]}\n`)
  running = spawn(command, args, { stdio: 'inherit' })
  const [code] = await once(running, 'exit')
  if (code !== 0) {
    process.stderr.write(`\nFailed: ${title}\n`)
    process.exit(code ?? 1)
  }
}
