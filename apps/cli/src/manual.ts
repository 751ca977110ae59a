import type { Command } from 'commander'

const WIDTH = 100

export const MANUAL_FORMATS = ['text', 'markdown'] as const
export type ManualFormat = (typeof MANUAL_FORMATS)[number]

/** Renders the manual page: the --help of every command. */
export function renderManual(program: Command, format: ManualFormat): string {
  const sections = listCommands(program).map((command) => ({
    title: pathOf(command),
    help: helpOf(command).trimEnd(),
  }))
  const summary = `${program.name()} - ${program.description()}`
  if (format === 'markdown') {
    const parts = sections.map(({ title, help }) => `## ${title}\n\n\`\`\`text\n${help}\n\`\`\`\n`)
    return `# ${program.name()}(1)\n\n${summary}\n\n${parts.join('\n')}`
  }
  const parts = sections.map(({ title, help }) => `${title.toUpperCase()}\n${indent(help)}\n`)
  return `${program.name().toUpperCase()}(1)\n\nNAME\n    ${summary}\n\n${parts.join('\n')}`
}

/** The text of --help, examples included, at a fixed width. */
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
