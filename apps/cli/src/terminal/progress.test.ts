import { stripVTControlCharacters } from 'node:util'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'
import { describeOnTerminal } from '../testing/describe-terminal.ts'

const CTRL_C = '\u0003'

describe('progress', () => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
  })
  beforeEach(() => lab.empty())

  test('with --rate it counts redriven entries, and shows the speed and the time left', async () => {
    await lab.bury(205)
    const { exitCode, output } = await lab.cli.runOnTerminal(
      ['dlq', 'redrive', '--all', '--rate', '10/s', '--yes'],
      { interruptAt: '20/205' },
    )
    expect(exitCode).toBe(5)
    const shown = stripVTControlCharacters(output)
    // A busy machine may be slower than the rate.
    expect(shown).toMatch(/ 20\/205 {2}([6-9]|1[012])\/s {2}(1[5-9]|2\d|3[01])s left/)
    expect(shown).not.toContain('100/205')
  })

  test('with --max it counts up to that', async () => {
    await lab.bury(5, { redrives: 3 })
    await lab.bury(5)
    const { exitCode, output } = await lab.cli.runOnTerminal([
      'dlq',
      'redrive',
      '--all',
      '--rate',
      '1/s',
      '--max',
      '2',
      '--yes',
    ])
    expect(exitCode).toBe(5)
    const shown = stripVTControlCharacters(output)
    expect(shown).toContain('1/2')
    expect(shown).not.toMatch(/Redriving [3-9]/)
  })
})

describeOnTerminal('progress on a real terminal', (terminal) => {
  test('Ctrl-C while it redrives finishes the batch, ends with exit code 5 and says how to continue', async () => {
    const { lab, open } = terminal
    await lab.bury(200)
    const session = open(['dlq', 'redrive', '--all', '--rate', '40/s', '--force'])
    await session.answer('Send them back', 'y')
    await session.shows('Redriving')
    await waitFor('some to be redriven', async () => (await lab.store.count()) <= 180, { intervalMs: 10 })
    session.type(CTRL_C)
    expect(await session.ended).toBe(5)
    const left = await lab.store.count()
    const shown = stripVTControlCharacters(session.output())
    expect(shown).toContain(`Redriven ${200 - left} entries`)
    expect(shown).toContain('Interrupted. The same command again does the rest.')
    expect(await lab.audit()).toMatchObject([
      { result: 'started' },
      { result: expect.stringMatching(/^interrupted/), changed: 200 - left },
    ])
  })
})
