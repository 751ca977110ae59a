import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findRedisServer, NO_REDIS_SERVER } from '@tidings/stack/servers/redis'
import { Command, InvalidArgumentError, Option } from 'commander'
import { writeResults } from './report/write-results.ts'
import { SCENARIOS } from './scenarios/all.ts'
import type { Effort, ScenarioResult } from './scenarios/scenario.ts'
import { openSite } from './site.ts'

/** Of wrong usage, as of the other programs. */
const USAGE_EXIT_CODE = 64
const RESULTS_DIR = fileURLToPath(new URL('../results', import.meta.url))

interface Options {
  only?: string[]
  rounds?: number
  seconds?: number
  connections?: number
  quick?: boolean
  against?: string
  output: string
}

const command = new Command('bench')
  .description('Measures Tidings beside what one would build instead, and beside what the machine allows.')
  .addOption(
    new Option('--only <scenario...>', 'not all of them').choices(SCENARIOS.map((scenario) => scenario.name)),
  )
  .option('--rounds <n>', 'interleaved rounds (default: 5)', parseCount)
  .option('--seconds <n>', 'length of each load (default: 5)', parseCount)
  .option('--connections <n>', 'of ingest-single (default: 128)', parseCount)
  .option('--quick', 'a look of three to four minutes: one short round, little data')
  .option('--against <checkout>', 'measure the ingest of another checkout of Tidings as well', parseCheckout)
  .option('--output <name>', 'name of the files in bench/results', parseName, 'latest')
  .addHelpText('after', '\nExamples:\n  npm run bench -- --quick\n  npm run bench -- --only ingest-single')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE_EXIT_CODE))
  .action(run)

await command.parseAsync()

async function run(options: Options): Promise<void> {
  if (findRedisServer(process.env.PATH) === undefined) {
    process.stderr.write(`${NO_REDIS_SERVER} Install one: the queue in Redis is what is measured.\n`)
    process.exit(1)
  }
  const { only } = options
  const scenarios = SCENARIOS.filter(({ name }) => only === undefined || only.includes(name))
  const quick = options.quick ?? false
  const effort: Effort = {
    rounds: options.rounds ?? (quick ? 1 : 5),
    seconds: options.seconds ?? (quick ? 2 : 5),
    warmUpSeconds: quick ? 1 : 3,
    connections: options.connections ?? 128,
    quick,
  }
  const startedMs = performance.now()
  const progress = (text: string) => {
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0).padStart(5)
    process.stderr.write(`${seconds} s  ${text}\n`)
  }

  progress('starting PostgreSQL and Redis')
  const site = await openSite()
  const stop = () => {
    void site.stop().finally(() => process.exit(130))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const results: ScenarioResult[] = []
  try {
    for (const scenario of scenarios) {
      results.push(await scenario.run({ site, effort, against: options.against, progress }))
      // After each, so that an interrupted run leaves what it has.
      await writeResults(RESULTS_DIR, options.output, results, effort)
    }
  } finally {
    await site.stop()
  }
  process.stdout.write(await writeResults(RESULTS_DIR, options.output, results, effort))
  progress(`written to bench/results/${options.output}.{json,md,svg}`)
}

/** Known before an hour of measuring. A relative path begins at the project's root, where npm runs the script. */
function parseCheckout(text: string): string {
  const checkout = resolve(text)
  if (existsSync(join(checkout, 'apps/api/src/main.ts')) && existsSync(join(checkout, 'node_modules')))
    return checkout
  throw new InvalidArgumentError(
    'Give the folder of a checkout of Tidings. Run `npm run bench -- --help` in it once: that installs it.',
  )
}

function parseCount(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number above 0.')
}

/** What cannot be written is better known before the run than after it. */
function parseName(text: string): string {
  if (/^\w[\w.-]*$/.test(text)) return text
  throw new InvalidArgumentError('Give a name, without a folder.')
}
