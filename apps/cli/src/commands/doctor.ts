import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import type { CheckResult } from '../doctor/check-result.ts'
import { CliError, EXIT } from '../exit-codes.ts'
import { writeList } from '../terminal/output.ts'

const SIGNS = { ok: '✓', warning: '!', failure: '✗' } as const

export function registerDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description('Check connections, durability, schema, queues, and that no event is unaccounted for.')
    .action(() => runDoctor(context))
    .addHelpText(
      'after',
      `
Examples:
  tidings doctor
  tidings doctor -o json | jq '.[] | select(.result != "ok")'

Exits with 1 when a check fails, with 6 when a store does not answer.
A warning alone exits with 0.`,
    )
}

async function runDoctor(context: CliContext): Promise<void> {
  const { runChecks } = await import('../doctor/checks.ts')
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
