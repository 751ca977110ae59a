import type { Command } from 'commander'
import { usageError } from '../exit-codes.ts'

/** Replaces commander's help command, which takes one name only. */
export function registerHelp(program: Command): void {
  program
    .helpCommand(false)
    .command('help')
    .description('Show the arguments and options of a command.')
    .argument('[command...]')
    .action((names: string[]) => findCommand(program, names).help())
    .addHelpText('after', '\nExamples:\n  tidings help\n  tidings help dlq redrive')
}

function findCommand(program: Command, names: readonly string[]): Command {
  let found = program
  for (const name of names) {
    const next = found.commands.find((command) => command.name() === name)
    if (next === undefined) throw usageError(`There is no command ${names.join(' ')}. See tidings --help.`)
    found = next
  }
  return found
}
