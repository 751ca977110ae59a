import { stripVTControlCharacters } from 'node:util'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { expect, test } from 'vitest'
import { describeOnTerminal } from '../testing/describe-terminal.ts'

const CTRL_C = '\u0003'

describeOnTerminal('progress on a terminal', (terminal) => {
  const auditRows = async () =>
    (
      await terminal.lab.db.database.pool.query<{ changed: number; result: string }>(
        'SELECT changed, result FROM operator_audit ORDER BY at, id',
      )
    ).rows

  test.each([
    ['with --yes', ['--yes']],
    ['after y', []],
  ])(
    'Ctrl-C while it redrives, %s: the batch is finished, exit code 5, and it says how to go on',
    async (_, yes) => {
      const { lab, open } = terminal
      await lab.bury(60)
      const session = open(['dlq', 'redrive', '--all', '--rate', '10/s', '--force', ...yes])
      if (yes.length === 0) await session.answer('Send them back', 'y')
      await session.shows('Redriving')
      await waitFor('some to be redriven', async () => (await lab.store.count()) <= 40, { intervalMs: 10 })
      session.type(CTRL_C)
      expect(await session.ended).toBe(5)
      const left = await lab.store.count()
      const shown = stripVTControlCharacters(session.output())
      expect(shown).toContain(`Redriven ${60 - left} entries`)
      expect(shown).toContain('Interrupted. The same command again does the rest.')
      expect(await auditRows()).toMatchObject([
        { result: 'started' },
        { result: expect.stringMatching(/^interrupted/), changed: 60 - left },
      ])
    },
  )

  test('with --rate it counts what was redriven, and knows how long the rest takes', async () => {
    await terminal.lab.bury(205)
    const session = terminal.open(['dlq', 'redrive', '--all', '--rate', '10/s', '--yes'])
    await session.shows('20/205')
    session.type(CTRL_C)
    expect(await session.ended).toBe(5)
    const shown = stripVTControlCharacters(session.output())
    // The clock of a busy machine is no exact one.
    expect(shown).toMatch(/ 20\/205 {2}([89]|1[012])\/s {2}(1[5-9]|2[0-3])s left/)
    expect(shown).not.toContain('100/205')
  })

  test('with --max it counts up to that', async () => {
    await terminal.lab.bury(5, { redrives: 3 })
    await terminal.lab.bury(5)
    const session = terminal.open(['dlq', 'redrive', '--all', '--rate', '1/s', '--max', '2', '--yes'])
    await session.shows('1/2')
    expect(await session.ended).toBe(5)
    expect(stripVTControlCharacters(session.output())).not.toMatch(/Redriving [3-9]/)
  })
})
