import { stripVTControlCharacters } from 'node:util'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from './testing/cli-lab.ts'
import { describeOnTerminal } from './testing/describe-terminal.ts'

const CTRL_C = '\u0003'

describe('questions', () => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
  })
  beforeEach(() => lab.empty())

  async function answer(args: readonly string[], prompt: string, keys: string) {
    const { exitCode, output } = await lab.cli.runOnTerminal(args, { answer: { prompt, keys } })
    return { exitCode, shown: stripVTControlCharacters(output) }
  }
  test.each([
    ['n', 'n'],
    ['Enter alone', '\r'],
    ['Ctrl-C', CTRL_C],
  ])('redrive --all shows a preview and asks; %s changes nothing: exit code 2', async (_, keys) => {
    await lab.bury(3)
    const run = await answer(['dlq', 'redrive', '--all'], 'Send them back', keys)
    expect(run.exitCode).toBe(2)
    expect(run.shown).toMatch(/Redrive: 3 entries[\s\S]*3 {2}[0-9a-f]+ {2}unknown_user[\s\S]*Yes.*No/)
    expect(run.shown).toContain('Nothing was changed.')
    expect(await lab.store.count()).toBe(3)
    expect(await lab.audit()).toEqual([])
  })

  test('with --max the question names both numbers, and no more are redriven', async () => {
    await lab.bury(5)
    const run = await answer(['dlq', 'redrive', '--all', '--max', '2'], 'Send them back', 'y')
    expect(run.exitCode).toBe(0)
    expect(run.shown).toMatch(/Redrive: the first 2 of 5 entries, back[\s\S]*All 5 by group:/)
    expect(run.shown).toContain('Redriven 2 entries')
    expect(await lab.store.count()).toBe(3)
  })

  test.each([
    ['nothing', '\r'],
    ['yes', 'yes\r'],
    ['another queue', 'status-events\r'],
  ])("delete --all asks for the queue's name; %s changes nothing: exit code 2", async (_, keys) => {
    await lab.bury(2)
    const run = await answer(['dlq', 'delete', '--all'], 'Type status-events-dead', keys)
    expect(run.exitCode).toBe(2)
    expect(run.shown).toContain('Nothing was changed.')
    expect(await lab.store.count()).toBe(2)
    expect(await lab.audit()).toEqual([])
  })

  test('delete --all deletes after the name was typed', async () => {
    await lab.bury(2)
    const run = await answer(['dlq', 'delete', '--all'], 'Type status-events-dead', 'status-events-dead\r')
    expect(run.exitCode).toBe(0)
    expect(await lab.store.count()).toBe(0)
  })
})

describeOnTerminal('a question on a real terminal', (terminal) => {
  test('takes y, and Ctrl-C as a no', async () => {
    const ids = await terminal.lab.bury(3)
    const interrupted = terminal.open(['dlq', 'redrive', '--all'])
    await interrupted.answer('Send them back', CTRL_C)
    expect(await interrupted.ended).toBe(2)
    const session = terminal.open(['dlq', 'redrive', '--all'])
    await session.answer('Send them back', 'y')
    expect(await session.ended).toBe(0)
    expect(stripVTControlCharacters(session.output())).toContain('Redriven 3 entries')
    expect((await terminal.lab.queuedIds()).toSorted()).toEqual(ids.toSorted())
  })
})
