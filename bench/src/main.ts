import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findRedisServer, NO_REDIS_SERVER } from '@tidings/stack/servers/redis'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Contender } from './contenders/contender.ts'
import { createTidingsAgainst } from './contenders/tidings.ts'
import { writeResults } from './report/write-results.ts'
import { SCENARIOS } from './scenarios/all.ts'
import type { Effort, ScenarioResult } from './scenarios/scenario.ts'
import { openSite } from './site.ts'

/** EX_USAGE of sysexits.h, as the other programs use it. */
const USAGE_EXIT_CODE = 64
const RESULTS_DIR = fileURLToPath(new URL('../results', import.meta.url))

interface Options {
  only?: string[]
  rounds?: number
  seconds?: number
  connections?: number
  rows?: number[]
  quick?: boolean
  against?: string
  output: string
}

const command = new Command('bench')
  .description('Measures Tidings beside the usual alternatives and beside the limits of the machine.')
  .addOption(
    new Option('--only <scenario...>', 'run only these').choices(SCENARIOS.map((scenario) => scenario.name)),
  )
  .option('--rounds <n>', 'interleaved rounds (default: 5)', parseCount)
  .option('--seconds <n>', 'length of each load (default: 5)', parseCount)
  .option('--connections <n>', 'of ingest-single (default: 128)', parseCount)
  .option('--rows <n...>', 'sizes of the tables of growth, such as 10000 30000000', parseCounts)
  .option('--quick', 'one short round with little data; three to four minutes')
  .option('--against <checkout>', 'also measure the ingest of another checkout of Tidings', parseCheckout)
  .option('--output <name>', 'name of the result files in bench/results', parseName, 'latest')
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench -- --quick\n  npm run bench -- --only ingest-single\n  npm run bench -- --only growth --rows 10000 30000000 --against ../tidings-before',
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE_EXIT_CODE))
  .action(run)

await command.parseAsync()

async function run(options: Options): Promise<void> {
  if (findRedisServer(process.env.PATH) === undefined) {
    process.stderr.write(`${NO_REDIS_SERVER} Install one: the benchmark measures the queue in Redis.\n`)
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
    rows: options.rows,
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
    const against: Contender[] =
      options.against === undefined ? [] : [await createTidingsAgainst(site, options.against)]
    for (const { name, title, run } of scenarios) {
      results.push({ name, title, ...(await run({ site, effort, against, progress })) })
      // After each scenario, so that an interrupted run keeps its results.
      await writeResults(RESULTS_DIR, options.output, results, effort)
    }
  } finally {
    await site.stop()
  }
  process.stdout.write(await writeResults(RESULTS_DIR, options.output, results, effort))
  progress(`written to bench/results/${options.output}.{json,md,svg}`)
}

/** A relative path starts at the root of the repository, where npm runs the script. */
function parseCheckout(text: string): string {
  const checkout = resolve(text)
  if (existsSync(join(checkout, 'apps/api/src/main.ts')) && existsSync(join(checkout, 'node_modules')))
    return checkout
  throw new InvalidArgumentError(
    'Give the folder of a checkout of Tidings. Run `npm run bench -- --help` in it once to install it.',
  )
}

function parseCount(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number above 0.')
}

function parseCounts(text: string, before: readonly number[] = []): number[] {
  return [...before, parseCount(text)]
}

/** Checked before the run, because the results are written after it. */
function parseName(text: string): string {
  if (/^\w[\w.-]*$/.test(text)) return text
  throw new InvalidArgumentError('Give a name, without a folder.')
}
