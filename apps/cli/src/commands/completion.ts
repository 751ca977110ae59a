import { Argument, type Command, Option } from 'commander'
import type { CliContext } from '../context.ts'
import { MANUAL_FORMATS, type ManualFormat, renderManual } from '../manual.ts'
import { renderCompletion, SHELLS, type Shell } from '../shell-completion.ts'

export function registerCompletion(program: Command, { terminal }: CliContext): void {
  program
    .command('completion')
    .description('Print a completion script for a shell.')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => terminal.write(renderCompletion(program, shell)))
    .addHelpText(
      'after',
      `
Examples:
  source <(tidings completion bash)
  source <(tidings completion zsh)
  tidings completion fish | source`,
    )
  program
    .command('manual')
    .description('Print the manual page: the help of every command.')
    .addOption(
      new Option('--format <format>', 'plain text, or Markdown as in docs/tidings-manual.md')
        .choices(MANUAL_FORMATS)
        .default('text'),
    )
    .action(({ format }: { format: ManualFormat }) => terminal.write(renderManual(program, format)))
    .addHelpText('after', '\nExample:\n  tidings manual | less')
}
