import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))

/** Modules that a process starts with. Only these do something when they are loaded. */
const ENTRIES = new Set([
  'apps/api/src/main.ts',
  // The main module of the thread that serves Bull Board.
  'apps/api/src/admin/board-worker.ts',
  // The main module of the threads that hash passwords.
  'apps/api/src/passwords/hash-worker.ts',
  'apps/cli/src/main.ts',
  'apps/worker/src/main.ts',
  'examples/email-service/src/main.ts',
  'packages/db/src/main.ts',
  'tools/docs/error-codes.ts',
  'tools/docs/json-schemas.ts',
  'tools/fresh-clone.ts',
  // The main module of the apps that npm start runs.
  'tools/stack/src/dev/run-app.ts',
  'tools/stack/src/dev/start.ts',
])

/** Modules that may end the process. Beside the entries, these do it for them. */
const MAY_EXIT = new Set([
  ...ENTRIES,
  // Ends the command line on Ctrl-C or a broken pipe.
  'apps/cli/src/interruptions.ts',
  // Ends a worker whose queue connection hangs: it could not stop in order.
  'apps/worker/src/run-worker.ts',
  // Ends an app on a signal.
  'packages/runtime/src/lifecycle.ts',
  // Ends a process whose main function failed.
  'packages/runtime/src/run-main.ts',
])

interface Line {
  /** Such as `apps/api/src/app.ts`. */
  file: string
  number: number
  text: string
  /** Whether the line begins outside of template literals. */
  isCode: boolean
}

let lines: Line[]

beforeAll(async () => {
  lines = []
  const patterns = ['apps/*/src/**/*.ts', 'packages/*/src/**/*.ts', 'tools/**/*.ts', 'examples/*/src/**/*.ts']
  for await (const file of glob(patterns, { cwd: ROOT, exclude: ['**/node_modules'] })) {
    if (/\.test\.ts$|\/testing\//.test(file)) continue
    lines.push(...readLines(file, readFileSync(`${ROOT}/${file}`, 'utf8')))
  }
})

function readLines(file: string, source: string): Line[] {
  let isCode = true
  return source.split('\n').map((text, index) => {
    const line = { file, number: index + 1, text, isCode }
    const backticks = text.replaceAll('\\`', '').split('`').length - 1
    if (backticks % 2 === 1) isCode = !isCode
    return line
  })
}

/** Lists the places of matching lines outside of the allowed files. */
const find = (matches: (line: Line) => boolean, isAllowed: (file: string) => boolean) =>
  lines
    .filter((line) => !isAllowed(line.file) && matches(line))
    .map(({ file, number, text }) => `${file}:${number} ${text.trim()}`)

test('only env.ts files and entries read process.env', () => {
  const readsEnv = ({ text }: Line) => /\bprocess\.env\b/.test(text)
  expect(find(readsEnv, (file) => ENTRIES.has(file) || file.endsWith('/env.ts'))).toEqual([])
})

test('only entries and the runtime package end the process', () => {
  const exits = ({ text }: Line) => /\bprocess\.(exit|abort)\b/.test(text)
  expect(find(exits, (file) => MAY_EXIT.has(file))).toEqual([])
})

const COMMENT = /^ *(\/\/|\/?\*)/

/** The formatter puts every statement of a module's top level into the first column. */
const STATEMENT = /^[\w$([]/
const DECLARATION =
  /^(import|export|const|let|function|async function|class|abstract class|interface|type|declare)\b/

test('importing a module has no effect: no statements and no await at the top level', () => {
  const acts = ({ text, isCode }: Line) =>
    isCode &&
    ((STATEMENT.test(text) && !DECLARATION.test(text)) || /^(export )?(const|let) .*= await /.test(text))
  expect(find(acts, (file) => ENTRIES.has(file))).toEqual([])
})

test('packages/shared uses no global that does I/O', () => {
  const doesIo = ({ file, text }: Line) =>
    file.startsWith('packages/shared/') &&
    !COMMENT.test(text) &&
    /\b(process\.|fetch\(|setTimeout|setInterval|console\.)/.test(text)
  expect(find(doesIo, () => false)).toEqual([])
})
