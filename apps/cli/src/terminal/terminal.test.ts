import { stripVTControlCharacters } from 'node:util'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'
import { describeOnTerminal } from '../testing/describe-terminal.ts'
import type { TerminalRunOptions } from '../testing/fake-terminal.ts'

const CTRL_C = '\u0003'
const SHOW_CURSOR = '\u001b[?25h'
/** Whether a colour, bold or dim was set. Cursor movements do not count. */
const isStyled = (output: string) =>
  output
    .split('\u001b[')
    .slice(1)
    .some((sequence) => /^[0-9;]*m/.test(sequence))

describe('output on a terminal', () => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
  })
  beforeEach(() => lab.empty())

  async function show(args: readonly string[], options?: TerminalRunOptions): Promise<string> {
    const { exitCode, output } = await lab.cli.runOnTerminal(args, options)
    expect([args, exitCode]).toEqual([args, 0])
    return output
  }
  const showLines = async (args: readonly string[], columns: number) =>
    stripVTControlCharacters(await show(args, { columns })).split('\n')

  test.each(['dlq list', 'dlq groups', 'dlq stats'])(
    'shows %s in colour, and without any when NO_COLOR or --no-color says so',
    async (command) => {
      await lab.bury(3)
      const args = command.split(' ')
      expect(isStyled(await show(args))).toBe(true)
      // An empty value counts as none: https://no-color.org
      expect(isStyled(await show(args, { env: { NO_COLOR: '' } }))).toBe(true)
      for (const plain of [
        await show(args, { env: { NO_COLOR: '1' } }),
        await show([...args, '--no-color']),
      ]) {
        expect(plain).toContain('unknown_user')
        expect(isStyled(plain)).toBe(false)
      }
    },
  )

  test('redrive without a match asks nothing and reports the same as in a pipe', async () => {
    await lab.bury(2)
    const shown = await show(['dlq', 'redrive', '--error', 'timeuot', '-o', 'json'])
    expect(JSON.parse(/\{.*\}/.exec(shown)?.[0] ?? '')).toMatchObject({ matched: 0, end: 'done' })
    expect(shown).toContain('No dead letter matches.')
    expect(shown).not.toContain('Send them back')
  })

  test.each([60, 80, 110, 200])(
    'ids are whole in tables of %d columns, and no line wraps',
    async (columns) => {
      const entryIds = await lab.bury(3, {
        reason: 'retries_exhausted',
        error: { code: '55P03', message: `canceling statement due to lock timeout ${'x'.repeat(200)}` },
        fields: { notification_id: 'notification-of-a-long-name' },
      })
      const { stdout } = await lab.cli.run('dlq', 'groups')
      const [group = '', , , , , sample = ''] = stdout.split('\t')
      const key = ['service-keys', 'create', `email-${columns}`, '--scope', 'status:write:email', '-o', 'id']
      const keyId = (await lab.cli.run(...key)).stdout.trim()
      const lists: [string[], string[]][] = [
        [['dlq', 'list'], entryIds],
        [['dlq', 'groups'], columns < 120 ? [group] : [group, sample]],
        [
          ['service-keys', 'list'],
          [keyId, 'email-'],
        ],
      ]
      for (const [args, ids] of lists) {
        const lines = await showLines(args, columns)
        for (const id of ids) {
          const line = lines.find((text) => text.includes(id))
          expect([args, id, line?.length]).toEqual([args, id, expect.any(Number)])
          expect(line?.length).toBeLessThanOrEqual(columns)
        }
      }
    },
  )

  test.each(['dlq list', 'dlq groups'])('in 80 columns %s shows the whole message', async (command) => {
    const message =
      'notification_type: Invalid option: expected one of "email"|"push"; status: Invalid option'
    await lab.bury(1, { reason: 'invalid_event', error: { code: 'invalid_event', message } })
    const shown = (await showLines(command.split(' '), 80)).map((line) => line.slice(-40)).join(' ')
    expect(shown).not.toContain('…')
    for (const word of message.split(' ')) expect(shown.replaceAll(/\s+/g, '')).toContain(word)
  })

  test('in 80 columns status shows each time in full', async () => {
    const times = ['2026-01-01T12:00:00.000Z', '2026-01-01T12:00:07.250Z']
    await storeStatusEvents(
      lab.db.database,
      times.map((timestamp) =>
        makeEvent({
          ...{ notification_id: 'order-7', timestamp, received_at: timestamp },
          ...{ status: 'failed', error: 'the mailbox of this address is full, and will stay so for a while' },
          ...{ source: 'the-email-service', provider: 'the-provider' },
        }),
      ),
    )
    const lines = await showLines(['status', 'order-7'], 80)
    for (const time of times) expect(lines.join('\n')).toContain(time)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
    expect(lines.join('\n')).not.toContain('…')
  })

  test.each([80, 110, 160])('doctor shows all that it found and advises, in %d columns', async (columns) => {
    await lab.bury(3)
    const checks: { found: string; advice?: string }[] = JSON.parse(
      (await lab.cli.run('doctor', '-o', 'json')).stdout,
    )
    const lines = await showLines(['doctor'], columns)
    const shown = lines.join('\n')
    expect(shown).not.toContain('…')
    const words = checks.flatMap(({ found, advice = '' }) => `${found} ${advice}`.split(/[ ,;]+/))
    for (const word of words) expect(shown).toContain(word)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
  })

  test('in 80 columns service keys show their prefix and omit the scopes', async () => {
    const scopes = ['status:write:email', 'status:write:push', 'status:read', 'users:read']
    const { stdout: key } = await lab.cli.run('service-keys', 'create', 'gateway', '--scope', ...scopes)
    const shown = (await showLines(['service-keys', 'list'], 80)).join('\n')
    expect(shown).toContain(key.slice(0, 10))
    expect(shown).not.toContain('SCOPES')
  })

  test('a preview fits the terminal', async () => {
    const message = `canceling statement due to lock timeout ${'x'.repeat(200)}`
    await lab.bury(2, { error: { code: '55P03', message } })
    const { exitCode, output } = await lab.cli.runOnTerminal(['dlq', 'delete', '--all'], {
      columns: 90,
      answer: { prompt: 'Type status-events-dead', keys: '\r' },
    })
    expect(exitCode).toBe(2)
    const line = stripVTControlCharacters(output)
      .split('\n')
      .find((text) => text.includes('55P03'))
    expect(line).toMatch(/…$/)
    expect(line).toHaveLength(90)
  })

  test('a list names a reason once', async () => {
    await lab.bury(1, { reason: 'unknown_user', error: { code: 'unknown_user', message: 'Nobody.' } })
    const shown = stripVTControlCharacters(await show(['dlq', 'list']))
    expect(shown).toContain('Nobody.')
    expect(shown).not.toContain('unknown_user: ')
  })

  test('stats --watch draws the depths since its start', async () => {
    await lab.bury(3)
    const shown = await show(['dlq', 'stats', '--watch', '--interval', '20ms'], {
      interruptAt: 'since start',
    })
    expect(stripVTControlCharacters(shown)).toMatch(/Depth\s+█{2} since start/)
  })
})

describeOnTerminal('a real terminal', (terminal) => {
  test('shows colours, and none with --no-color, also in a question', async () => {
    await terminal.lab.bury(2)
    const colored = terminal.open(['dlq', 'list'])
    const plain = terminal.open(['dlq', 'redrive', '--all', '--no-color'])
    expect(await colored.ended).toBe(0)
    expect(isStyled(colored.output())).toBe(true)
    await plain.answer('Send them back', 'n')
    expect(await plain.ended).toBe(2)
    expect(isStyled(plain.output())).toBe(false)
  })

  test('stats --watch draws depth and inflow, and restores the cursor at Ctrl-C', async () => {
    await terminal.lab.bury(1_234)
    const session = terminal.open(['dlq', 'stats', '--watch', '--interval', '1h'])
    await session.answer('Main queue', CTRL_C)
    expect(await session.ended).toBe(0)
    const shown = stripVTControlCharacters(session.output())
    expect(shown).toMatch(/Dead letters {2}1,234 /)
    expect(shown).toMatch(/1,234 in the last hour\s+▁*[▂-█]▁* 60 min/)
    expect(shown.match(/Dead letters/g)).toHaveLength(1)
    expect(session.output()).toContain(SHOW_CURSOR)
  })

  test('stats --watch restores the cursor before it reports that a store failed', async () => {
    const { backend, db } = terminal.lab
    if (backend.kind !== 'postgres') throw new Error('This needs the tables of the queue')
    const { pool } = db.database
    const session = terminal.open(['dlq', 'stats', '--watch', '--interval', '20ms'])
    await session.shows('Main queue')
    await pool.query(`ALTER SCHEMA ${backend.schema} RENAME TO elsewhere`)
    try {
      expect(await session.ended).toBe(1)
    } finally {
      await pool.query(`ALTER SCHEMA elsewhere RENAME TO ${backend.schema}`)
    }
    const output = session.output()
    expect(output).toContain('tidings: ')
    expect(output.slice(0, output.indexOf('tidings: '))).toContain(SHOW_CURSOR)
  })
})
