import type { Command } from 'commander'

const WIDTH = 100

/** The manual page, as text: every command with all it takes, from the same definitions as --help. */
export function renderManual(program: Command): string {
  const sections = listCommands(program).map(
    (command) => `${pathOf(command).toUpperCase()}\n${indent(helpOf(command).trimEnd())}\n`,
  )
  return `${program.name().toUpperCase()}(1)\n\nNAME\n    ${program.name()} - ${program.description()}\n\n${sections.join('\n')}`
}

/** What --help prints, examples included, for a page of fixed width. */
function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  })
  command.configureHelp({ showGlobalOptions: false })
  command.outputHelp()
  return text
}

function listCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(listCommands)]
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}

const indent = (text: string) =>
  text
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}`))
    .join('\n')
