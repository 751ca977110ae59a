import { stripVTControlCharacters } from 'node:util'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { type Cli, linesOf } from '../../testing/cli-process.ts'

describe('tidings stats', () => {
  const releaser = useReleaser()
  let lab: CliLab
  let cli: Cli
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)
  const day = ['--since', 'yesterday', '--until', 'today']

  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
    cli = lab.cli
    const at = (hour: string, fields: Parameters<typeof makeEvent>[0]) => ({
      ...makeEvent(fields),
      received_at: `${yesterday}T${hour}:15:00.000Z`,
    })
    await storeStatusEvents(lab.db.database, [
      ...Array.from({ length: 1_200 }, () => at('10', { status: 'sent', provider: 'ses' })),
      ...Array.from({ length: 30 }, () => at('11', { status: 'bounced', error: 'gone', provider: 'ses' })),
      at('11', { status: 'bounced', error: 'gone', provider: '\u001b[2Jevil' }),
      at('11', { status: 'complained' }),
    ])
  })

  test('answers a pipe with tab-separated lines, and stderr with the rates', async () => {
    const run = await cli.run('stats', ...day, '--by', 'provider,status')
    expect(run).toEqual({
      exitCode: 0,
      stdout: ' [2Jevil\tbounced\t1\nses\tbounced\t30\nses\tsent\t1200\n-\tcomplained\t1\n',
      stderr: 'email: 1,200 sent; 31 bounced, 2.58 %; 1 complained, 0.0833 %\n',
    })
  })

  test('draws bars on a terminal, as wide as it is', async () => {
    const { exitCode, output } = await cli.runOnTerminal(['stats', ...day, '--by', 'status'], { columns: 60 })
    expect(exitCode).toBe(0)
    expect(stripVTControlCharacters(output)).toMatch(/STATUS +COUNT/)
    expect(output).toMatch(/sent +1,200 .*█{30}/)
    const narrow = await cli.runOnTerminal(['stats', ...day, '--by', 'status'], { columns: 30 })
    expect(narrow.output).not.toContain('█'.repeat(20))
  })

  test('writes JSON as the API answers', async () => {
    const { stdout } = await cli.run('stats', ...day, '--granularity', 'hour', '--by', 'type', '-o', 'json')
    expect(JSON.parse(stdout)).toEqual({
      data: [
        { start: `${yesterday}T10:00:00Z`, type: 'email', count: 1_200 },
        { start: `${yesterday}T11:00:00Z`, type: 'email', count: 32 },
      ],
      meta: {
        from: `${yesterday}T00:00:00.000Z`,
        to: expect.any(String),
        granularity: 'hour',
        group_by: ['type'],
        rates: {
          email: {
            sent: 1_200,
            bounced: 31,
            complained: 1,
            bounce_rate: 31 / 1_200,
            complaint_rate: 1 / 1_200,
          },
          push: { sent: 0, bounced: 0, complained: 0, bounce_rate: null, complaint_rate: null },
        },
      },
    })
    const lines = linesOf((await cli.run('stats', ...day, '--granularity', 'day', '-o', 'ndjson')).stdout)
    expect(lines.map((line) => JSON.parse(line).start)).toEqual(Array(3).fill(`${yesterday}T00:00:00Z`))
  })

  test.each([
    {
      limits: ['--fail-if-bounce-rate', '5%', '--fail-if-complaint-rate', '0.1%'],
      exitCode: 0,
      message: undefined,
    },
    {
      limits: ['--fail-if-bounce-rate', '2%'],
      exitCode: 7,
      message: 'email bounces are 2.58 %, more than 2 %',
    },
    {
      limits: ['--fail-if-complaint-rate', '0'],
      exitCode: 7,
      message: 'email complaints are 0.0833 %, more than 0 %',
    },
  ])('exits with $exitCode for $limits', async ({ limits, exitCode, message }) => {
    const run = await cli.run('stats', ...day, ...limits)
    expect(run.exitCode).toBe(exitCode)
    expect(run.stdout).toContain('email\tsent\t1200')
    if (message !== undefined) expect(run.stderr).toContain(`Limit passed: ${message}.`)
  })

  test('complaints about the messages of an earlier time are shown, and fail only a limit that was given', async () => {
    await storeStatusEvents(lab.db.database, [
      { ...makeEvent({ status: 'complained' }), received_at: '2021-03-01T10:00:00.000Z' },
      { ...makeEvent({ status: 'sent' }), received_at: '2021-03-02T10:00:00.000Z' },
      { ...makeEvent({ status: 'complained' }), received_at: '2021-03-02T10:00:00.000Z' },
      { ...makeEvent({ status: 'complained' }), received_at: '2021-03-02T10:00:00.000Z' },
    ])
    const later = ['--since', '2021-03-02T00:00:00Z', '--until', '2021-03-03T00:00:00Z']
    expect(await cli.run('stats', ...later)).toMatchObject({
      exitCode: 0,
      stderr: 'email: 1 sent; 0 bounced, 0 %; 2 complained, 200 %\n',
    })
    expect(await cli.run('stats', ...later, '--fail-if-complaint-rate', '1')).toMatchObject({ exitCode: 7 })
    const none = ['--since', '2021-03-01T00:00:00Z', '--until', '2021-03-02T00:00:00Z']
    expect(await cli.run('stats', ...none)).toMatchObject({
      exitCode: 0,
      stderr: 'email: 0 sent; 0 bounced, -; 1 complained, -\n',
    })
  })

  test('nothing counted is said, and exit code 0 whatever the limits', async () => {
    const before = ['--since', '2020-01-01T00:00:00Z', '--until', '2020-01-02T00:00:00Z']
    expect(await cli.run('stats', ...before, '--fail-if-bounce-rate', '0')).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'No event was received from 2020-01-01T00:00:00.000Z to 2020-01-02T00:00:00.000Z.\n',
    })
    expect((await cli.run('stats', ...before, '--by', 'none')).stdout).toBe('0\n')
  })

  test.each([
    ['--by', 'type,type'],
    ['--by', 'user_id'],
    ['--by', ''],
    ['--granularity', 'minute'],
    ['--since', '2y'],
    ['--since', '400d'],
    ['--since', '40d', '--granularity', 'hour'],
    ['--since', '1h', '--until', '2h'],
    ['--fail-if-bounce-rate', '500%'],
    ['-o', 'id'],
  ])('wrong usage is exit code 64: %s %s', async (...args) => {
    expect(await cli.run('stats', ...args)).toMatchObject({ exitCode: 64, stdout: '' })
  })
})
