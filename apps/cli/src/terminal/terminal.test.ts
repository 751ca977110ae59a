import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { describeOnTerminal } from '../testing/describe-terminal.ts'

const CTRL_C = '\u0003'
const SHOW_CURSOR = '\u001b[?25h'
/** Whether a colour, bold or dim was set; cursor movements are none of these. */
const isStyled = (output: string) =>
  output
    .split('\u001b[')
    .slice(1)
    .some((sequence) => /^[0-9;]*m/.test(sequence))

describeOnTerminal('a terminal', (terminal) => {
  async function show(args: readonly string[], env?: NodeJS.ProcessEnv) {
    const session = terminal.open(args, env)
    expect(await session.ended).toBe(0)
    return session.output()
  }

  test.each(['dlq list', 'dlq groups', 'dlq stats'])(
    'shows %s in colour, and without any when NO_COLOR or --no-color says so',
    async (command) => {
      await terminal.lab.bury(3)
      const args = command.split(' ')
      expect(isStyled(await show(args))).toBe(true)
      // An empty value counts as none: https://no-color.org
      expect(isStyled(await show(args, { NO_COLOR: '' }))).toBe(true)
      for (const plain of [await show(args, { NO_COLOR: '1' }), await show([...args, '--no-color'])]) {
        expect(plain).toContain('unknown_user')
        expect(isStyled(plain)).toBe(false)
      }
    },
  )

  test('asks without colour too when --no-color says so', async () => {
    await terminal.lab.bury(2)
    const session = terminal.open(['dlq', 'redrive', '--all', '--no-color'])
    await session.answer('Send them back', 'n')
    expect(await session.ended).toBe(2)
    expect(isStyled(session.output())).toBe(false)
  })

  test('nothing to redrive is the same as in a pipe, and there is nothing to ask', async () => {
    await terminal.lab.bury(2)
    const shown = await show(['dlq', 'redrive', '--error', 'timeuot', '-o', 'json'])
    expect(JSON.parse(/\{.*\}/.exec(shown)?.[0] ?? '')).toMatchObject({ matched: 0, end: 'done' })
    expect(shown).toContain('No dead letter matches.')
    expect(shown).not.toContain('Send them back')
  })

  test('stats --watch draws depth and inflow, and Ctrl-C ends it in good order', async () => {
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

  test('stats --watch draws the depths it has seen', async () => {
    await terminal.lab.bury(3)
    const session = terminal.open(['dlq', 'stats', '--watch', '--interval', '50ms'])
    await session.answer('since start', CTRL_C)
    expect(await session.ended).toBe(0)
    expect(stripVTControlCharacters(session.output())).toMatch(/Depth\s+█{2} since start/)
  })

  test('stats --watch says when the depths it draws are not all it has seen', async () => {
    await terminal.lab.bury(3)
    const size = { columns: 90, rows: 40 }
    const session = terminal.open(['dlq', 'stats', '--watch', '--interval', '1ms'], {}, size)
    await session.answer('until now', CTRL_C)
    expect(await session.ended).toBe(0)
  })

  test('stats --watch gives the cursor back before it says that a store failed', async () => {
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

  test.each([60, 80, 110, 200])(
    'ids are whole in tables of %d columns, and no line wraps',
    async (columns) => {
      const { lab, open } = terminal
      const failedEvents = await lab.bury(3, {
        reason: 'retries_exhausted',
        error: { code: '55P03', message: `canceling statement due to lock timeout ${'x'.repeat(200)}` },
        fields: { notification_id: 'notification-of-a-long-name' },
      })
      const { stdout } = await lab.cli.run('dlq', 'groups')
      const [group = '', , , , , sample = ''] = stdout.split('\t')
      const key = ['service-keys', 'create', `email-${columns}`, '--scope', 'status:write:email', '-o', 'id']
      const keyId = (await lab.cli.run(...key)).stdout.trim()
      const lists: [string[], string[]][] = [
        [['dlq', 'list'], failedEvents],
        [['dlq', 'groups'], columns < 110 ? [group] : [group, sample]],
        [
          ['service-keys', 'list'],
          [keyId, 'email-'],
        ],
      ]
      for (const [args, ids] of lists) {
        const session = open(args, {}, { columns, rows: 40 })
        expect(await session.ended).toBe(0)
        const lines = stripVTControlCharacters(session.output()).split('\r\n')
        for (const id of ids) {
          const line = lines.find((text) => text.includes(id))
          expect(line).toBeDefined()
          expect(line?.length).toBeLessThanOrEqual(columns)
        }
      }
    },
  )

  test.each([80, 110, 160])(
    'doctor says all that it has found and advises, in %d columns',
    async (columns) => {
      await terminal.lab.bury(3)
      const checks: { found: string; advice?: string }[] = JSON.parse(
        (await terminal.lab.cli.run('doctor', '-o', 'json')).stdout,
      )
      const session = terminal.open(['doctor'], {}, { columns, rows: 40 })
      expect(await session.ended).toBe(0)
      const shown = stripVTControlCharacters(session.output())
      expect(shown).not.toContain('…')
      const words = checks.flatMap(({ found, advice = '' }) => `${found} ${advice}`.split(/[ ,;]+/))
      for (const word of words) expect(shown).toContain(word)
      for (const line of shown.split('\r\n')) expect(line.length).toBeLessThanOrEqual(columns)
    },
  )

  test('in 80 columns service keys are told by their beginning, not by half a list of scopes', async () => {
    const { cli } = terminal.lab
    const scopes = ['status:write:email', 'status:write:push', 'status:read', 'users:read']
    const { stdout: key } = await cli.run('service-keys', 'create', 'gateway', '--scope', ...scopes)
    const session = terminal.open(['service-keys', 'list'], {}, { columns: 80, rows: 40 })
    expect(await session.ended).toBe(0)
    const shown = stripVTControlCharacters(session.output())
    expect(shown).toContain(key.slice(0, 10))
    expect(shown).not.toContain('SCOPES')
  })

  test('a preview fits the terminal, and a list says a reason once', async () => {
    const message = `canceling statement due to lock timeout ${'x'.repeat(200)}`
    await terminal.lab.bury(2, { error: { code: '55P03', message } })
    const asked = terminal.open(['dlq', 'delete', '--all'], {}, { columns: 90, rows: 40 })
    await asked.answer('Type status-events-dead', '\r')
    expect(await asked.ended).toBe(2)
    const line = stripVTControlCharacters(asked.output())
      .split('\r\n')
      .find((text) => text.includes('55P03'))
    expect(line).toMatch(/…$/)
    expect(line).toHaveLength(90)

    await terminal.lab.empty()
    await terminal.lab.bury(1, {
      reason: 'unknown_user',
      error: { code: 'unknown_user', message: 'Nobody.' },
    })
    const shown = stripVTControlCharacters(await show(['dlq', 'list']))
    expect(shown).toContain('Nobody.')
    expect(shown).not.toContain('unknown_user: ')
  })
})
