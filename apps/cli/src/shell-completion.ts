import type { Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** A word that can come next, and its description. */
interface Candidate {
  word: string
  text: string
}

/** One command: its words after the program's name, and the words that may follow. */
interface Place {
  path: string
  commands: Candidate[]
  options: Candidate[]
  /** The values of options with a fixed set of values, by flag. */
  values: { flags: string[]; choices: readonly string[] }[]
}

/** Renders a completion script from the definitions that --help shows too. */
export function renderCompletion(program: Command, shell: Shell): string {
  const places = listPlaces(program, '', [])
  if (shell === 'fish') return renderFish(program.name(), places)
  const bash = renderBash(program.name(), places)
  // zsh can run completion functions of bash.
  return shell === 'zsh'
    ? `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash}`
    : bash
}

function listPlaces(command: Command, path: string, inherited: readonly Option[]): Place[] {
  const options = [...command.options, ...inherited]
  const place: Place = {
    path,
    commands: command.commands.map((child) => ({ word: child.name(), text: child.description() })),
    options: [
      ...options.flatMap((option) => flagsOf(option).map((word) => ({ word, text: option.description }))),
      { word: '--help', text: 'display help for command' },
    ],
    values: options.flatMap((option) =>
      option.argChoices ? [{ flags: flagsOf(option), choices: option.argChoices }] : [],
    ),
  }
  const below = command.commands.flatMap((child) =>
    listPlaces(child, path === '' ? child.name() : `${path} ${child.name()}`, options),
  )
  return [place, ...below]
}

const flagsOf = (option: Option) => [option.short, option.long].filter((flag) => flag !== undefined)
const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

// zsh runs this script too. It reserves the names `path`, `words` and `options`, and reads a name after `:` as a modifier.
function renderBash(name: string, places: readonly Place[]): string {
  const cases = places.map(({ path, commands, options, values }) => {
    const valueCases = values.map(
      ({ flags, choices }) => `        ${flags.join('|')}) offers=${quote(choices.join(' '))} ;;`,
    )
    const words = [...commands, ...options].map(({ word }) => word).join(' ')
    return [
      `    ${quote(path)})`,
      `      offers=${quote(words)}`,
      ...(valueCases.length > 0 ? ['      case "$previous" in', ...valueCases, '      esac'] : []),
      '      ;;',
    ].join('\n')
  })
  const paths = places.map(({ path }) => quote(path)).join('|')
  return `# ${name} completion; load it with: source <(${name} completion bash)
_${name}_complete() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" place='' offers='' word
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
    case "\${place:+$place }$word" in
      ${paths}) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$offers" -- "$current"))
}
complete -o default -F _${name}_complete ${name}
`
}

function renderFish(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, options, values }) => {
    const words = path === '' ? [] : path.split(' ')
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`)
    const isHere =
      commands.length > 0
        ? [`not __fish_seen_subcommand_from ${commands.map(({ word }) => word).join(' ')}`]
        : []
    const condition = `-n ${quote([...seen, ...isHere].join('; and ') || 'true')}`
    return [
      ...commands.map(({ word, text }) => `complete -c ${name} ${condition} -f -a ${word} -d ${quote(text)}`),
      ...options.map(({ word, text }) => {
        const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`
        const choices = values.find(({ flags }) => flags.includes(word))?.choices
        return `complete -c ${name} ${condition} ${flag}${choices ? ` -x -a ${quote(choices.join(' '))}` : ''} -d ${quote(text)}`
      }),
    ]
  })
  return `# ${name} completion; load it with: ${name} completion fish | source\n${lines.join('\n')}\n`
}
