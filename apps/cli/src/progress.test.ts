import { stripVTControlCharacters } from 'node:util'
import { waitFor } from '@tidings/stack/wait-for'
import { expect, test } from 'vitest'
import { describeOnTerminal } from './testing/describe-terminal.ts'

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
})
