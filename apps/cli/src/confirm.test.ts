import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { describeOnTerminal } from './testing/describe-terminal.ts'

describeOnTerminal('questions on a terminal', (terminal) => {
  async function answer(args: readonly string[], prompt: string, keys: string) {
    const session = terminal.open(args)
    await session.answer(prompt, keys)
    const exitCode = await session.ended
    return { exitCode, shown: stripVTControlCharacters(session.output()) }
  }
  const countAudits = async () =>
    (await terminal.lab.db.database.pool.query('SELECT 1 FROM operator_audit')).rowCount ?? 0

  test.each([
    ['n', 'n'],
    ['Enter alone', '\r'],
    ['Ctrl-C', '\u0003'],
  ])('redrive --all shows what it would do and asks; %s changes nothing: exit code 2', async (_, keys) => {
    await terminal.lab.bury(3)
    const run = await answer(['dlq', 'redrive', '--all'], 'Send them back', keys)
    expect(run.exitCode).toBe(2)
    expect(run.shown).toMatch(/Redrive: 3 entries[\s\S]*3 {2}[0-9a-f]+ {2}unknown_user[\s\S]*Yes.*No/)
    expect(run.shown).toContain('Nothing was changed.')
    expect(await terminal.lab.store.count()).toBe(3)
    expect(await countAudits()).toBe(0)
  })

  test('with --max it says how many of how many, and does no more', async () => {
    await terminal.lab.bury(5)
    const run = await answer(['dlq', 'redrive', '--all', '--max', '2'], 'Send them back', 'y')
    expect(run.exitCode).toBe(0)
    expect(run.shown).toMatch(/Redrive: the first 2 of 5 entries, back[\s\S]*All 5 by group:/)
    expect(run.shown).toContain('Redriven 2 entries')
    expect(await terminal.lab.store.count()).toBe(3)
  })

  test('redrive --all does it after y', async () => {
    const ids = await terminal.lab.bury(3)
    const run = await answer(['dlq', 'redrive', '--all'], 'Send them back', 'y')
    expect(run.exitCode).toBe(0)
    expect(run.shown).toContain('Redriven 3 entries')
    expect((await terminal.lab.queuedIds()).toSorted()).toEqual(ids.toSorted())
  })

  test.each([
    ['nothing', '\r'],
    ['yes', 'yes\r'],
    ['another queue', 'status-events\r'],
  ])("delete --all wants the queue's name; after %s all are there: exit code 2", async (_, keys) => {
    await terminal.lab.bury(2)
    const run = await answer(['dlq', 'delete', '--all'], 'Type status-events-dead', keys)
    expect(run.exitCode).toBe(2)
    expect(run.shown).toContain('Nothing was changed.')
    expect(await terminal.lab.store.count()).toBe(2)
    expect(await countAudits()).toBe(0)
  })

  test('delete --all deletes once the name was typed', async () => {
    await terminal.lab.bury(2)
    const run = await answer(['dlq', 'delete', '--all'], 'Type status-events-dead', 'status-events-dead\r')
    expect(run.exitCode).toBe(0)
    expect(await terminal.lab.store.count()).toBe(0)
  })
})
