import { directUrlOf, useReleaser } from '@tidings/stack/testing/test-context'
import { CommanderError } from 'commander'
import { beforeAll, expect, test } from 'vitest'
import { describeFailure, EXIT } from './exit-codes.ts'
import { type CliLab, createCliLab } from './testing/cli-lab.ts'
import { type Cli, createCli } from './testing/cli-process.ts'

const releaser = useReleaser()
let lab: CliLab
let id: string

beforeAll(async () => {
  lab = await createCliLab('postgres', releaser)
  id = (await lab.bury(2))[0] ?? ''
})

const away = createCli({ DATABASE_URL: 'postgres://x:x@127.0.0.1:1/x' })
const lost = createCli({ DATA_DIR: '/nowhere' })
const here = () => lab.cli

interface Case {
  name: keyof typeof EXIT
  cli: () => Cli
  args: () => string[]
}
const cases: Case[] = [
  { name: 'ok', cli: here, args: () => ['dlq', 'list', '--reason', 'stalled'] },
  { name: 'failure', cli: () => lost, args: () => ['dlq', 'list'] },
  { name: 'declined', cli: here, args: () => ['dlq', 'redrive', '--all'] },
  { name: 'notFound', cli: here, args: () => ['dlq', 'show', 'dead-nope'] },
  { name: 'partial', cli: here, args: () => ['dlq', 'redrive', id, 'dead-nope', '--yes'] },
  { name: 'unreachable', cli: () => away, args: () => ['dlq', 'list'] },
  { name: 'threshold', cli: here, args: () => ['dlq', 'stats', '--fail-if-depth', '0'] },
  { name: 'usage', cli: here, args: () => ['dlq', 'redrive'] },
]

test.each(cases)('a command ends with the exit code for $name', async ({ name, cli, args }) => {
  const run = await cli().run(...args())
  expect(run).toMatchObject({ exitCode: EXIT[name] })
  if (name !== 'ok' && name !== 'threshold') expect(run.stderr).not.toBe('')
})

test('the shell gets the exit code', async () => {
  expect(await away.start('dlq', 'list').ended).toMatchObject({ exitCode: EXIT.unreachable })
})

test('the message tells a store that refuses the connection from one that does not answer', async () => {
  const url = new URL(directUrlOf(lab.db.url))
  url.pathname = '/no_such_database'
  const { exitCode, stderr } = await createCli({ DATABASE_URL: url.href }).run('dlq', 'list')
  expect(exitCode).toBe(EXIT.unreachable)
  expect(stderr).toContain('A store refuses the connection (database "no_such_database" does not exist).')
  expect((await away.run('dlq', 'list')).stderr).toContain('A store does not answer (')
})

test('every exit code is tested above', () => {
  expect(cases.map(({ name }) => name).toSorted()).toEqual(Object.keys(EXIT).toSorted())
})

test('help of commander is exit code 0, and a refusal of commander is wrong usage', () => {
  expect(describeFailure(new CommanderError(0, 'commander.helpDisplayed', '')).exitCode).toBe(0)
  expect(describeFailure(new CommanderError(1, 'commander.unknownOption', '')).exitCode).toBe(64)
})
