import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { parseDuration, parseText } from '../../input/parse-option.ts'
import { writeList } from '../../terminal/output.ts'
import type { CheckResult } from './check-result.ts'
import type { ProbeStep } from './probe.ts'

const SIGNS = { ok: '✓', warning: '!', failure: '✗', skipped: '-' } as const

interface DoctorOptions {
  probe?: true
  repair?: true
  yes?: true
  apiUrl?: string
  timeout: number
}

export function registerDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description('Check connections, durability, schema and queues, and report where the events are.')
    .option('--probe', 'instead send test events, and time how long each takes to arrive')
    .option('--repair', 'instead mend dead letters in Redis that lost their content or their place')
    .option('-y, --yes', 'do not ask before --repair changes something')
    .option('--api-url <url>', 'the API that --probe reports to; default: API_URL', parseText)
    .addOption(
      new Option('--timeout <duration>', 'how long --probe waits for its events, at most 5m')
        .argParser(parseDuration)
        .default(30_000, '30s'),
    )
    .action((options: DoctorOptions) => run(context, options))
    .addHelpText(
      'after',
      `
Examples:
  tidings doctor
  tidings doctor -o json | jq '.[] | select(.result != "ok")'
  tidings doctor --probe
  tidings doctor --repair

Exits with 1 when a check fails, with 6 when a store does not answer.
A warning alone exits with 0.

--probe shows that a running installation delivers. It sends one event through
the API and one through the queue until each is stored, and one event of an
unknown user until it is a dead letter. It prints the time of each in
milliseconds and removes the events again, also after Ctrl-C. Their source is
tidings-probe. It needs a temporary service key, which it creates and deletes.
Exits with 1 when an event did not arrive in time.

--repair puts a dead letter without its place back into the list, and removes
the place of one whose content is gone: its event is lost. It names keys of
another type and leaves them, with exit code 5.`,
    )
}

async function run(context: CliContext, options: DoctorOptions): Promise<void> {
  if (options.probe && options.repair) throw usageError('Use --probe or --repair, not both.')
  if (options.probe) return probe(context, options)
  if (!options.repair) return check(context)
  const { repairDeadLetters } = await import('./repair.ts')
  await repairDeadLetters(context, !options.yes)
}

async function check(context: CliContext): Promise<void> {
  const { runChecks } = await import('./checks.ts')
  const results = await runChecks(context)
  await writeList<CheckResult>(context, results, {
    columns: [
      { title: ' ', cell: (check) => SIGNS[check.result], raw: (check) => check.result, style: 'bold' },
      { title: 'CHECK', cell: (check) => check.check },
      { title: 'FOUND', cell: (check) => check.found, wraps: true },
      { title: 'WHAT TO DO', cell: (check) => check.advice ?? '', style: 'yellow', wraps: true },
    ],
    json: (check) => check,
  })
  const failed = results.filter((check) => check.result === 'failure')
  if (failed.some((check) => check.isUnreachable))
    throw new CliError(EXIT.unreachable, 'A store does not answer.')
  if (failed.length > 0)
    throw new CliError(EXIT.failure, `${failed.length} of ${results.length} checks failed.`)
}

async function probe(context: CliContext, options: DoctorOptions): Promise<void> {
  const { MAX_PROBE_MS, runProbe } = await import('./probe.ts')
  const apiUrl = options.apiUrl ?? context.env().API_URL
  if (apiUrl !== undefined && !/^https?:/.test(apiUrl))
    throw usageError('The URL of the API must begin with http:// or https://.')
  if (options.timeout > MAX_PROBE_MS) throw usageError('--timeout must be 5m or less.')
  const steps = await runProbe(context, { apiUrl, timeoutMs: options.timeout })
  await writeList<ProbeStep>(context, steps, {
    columns: [
      { title: ' ', cell: ({ result }) => SIGNS[result], raw: ({ result }) => result, style: 'bold' },
      { title: 'STEP', cell: ({ step }) => step },
      { title: 'MS', cell: ({ ms }) => (ms === null ? '-' : String(ms)), align: 'right' },
      { title: 'WHAT TO DO', cell: ({ advice }) => advice ?? '', style: 'yellow', wraps: true },
    ],
    json: (step) => step,
  })
  const failed = steps.filter(({ result }) => result === 'failure')
  if (failed.length > 0)
    throw new CliError(EXIT.failure, `${failed.length} of ${steps.length} events did not arrive.`)
}
