import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { inheritedEnv } from '../env.ts'
import { type Check, check } from '../row.ts'
import { waitForRest } from '../settle.ts'
import type { System } from '../system.ts'

const MAIN = fileURLToPath(new URL('../../../apps/cli/src/main.ts', import.meta.url))

const groupsSchema = z.array(z.object({ count: z.int() }))
const countsOf = (groups: string) =>
  groupsSchema.parse(JSON.parse(groups)).reduce((sum, { count }) => sum + count, 0)
const depthOf = (stats: string) => z.object({ depth: z.int() }).parse(JSON.parse(stats)).depth

/** Runs the commands that read and change queues, on a system at rest. The dead letters are there again at the end. */
export async function useCommandLine(system: System): Promise<Check[]> {
  const run = async (...args: string[]) => {
    const env = { ...inheritedEnv(), ...system.env, API_URL: system.apis[0]?.url }
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], {
      env,
      maxBuffer: 50_000_000,
    })
    return stdout
  }
  const countLines = (text: string) => text.split('\n').filter((line) => line !== '').length
  const countDead = async () => countLines(await run('dlq', 'list', '--limit', '10000', '-o', 'id'))
  await waitForRest(system, 60_000)
  const file = join(system.servers.dir, `${system.databaseName}.ndjson`)
  const dead = await countDead()
  const groups = await run('dlq', 'groups', '-o', 'json')
  const stats = await run('dlq', 'stats', '-o', 'json')
  await run('dlq', 'export', file)
  await run('dlq', 'delete', '--all', '--yes')
  const afterDelete = await countDead()
  await run('dlq', 'import', file)
  const afterImport = await countDead()
  await run('dlq', 'redrive', '--all', '--yes')
  await waitForRest(system, 60_000)
  const afterRedrive = await countDead()
  const doctor = await run('doctor', '--probe', '-o', 'json')
  return [
    check('dead letters listed', dead > 0, dead),
    check('grouped and counted', countsOf(groups) === dead && depthOf(stats) === dead, dead),
    check(
      'deleted, imported, redriven',
      afterDelete === 0 && afterImport === dead && afterRedrive === dead,
      `${afterDelete}, ${afterImport}, ${afterRedrive}`,
    ),
    check('doctor is content', !doctor.includes('"failure"'), 'yes'),
  ]
}
