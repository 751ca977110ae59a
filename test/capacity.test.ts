import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const read = (page: string) => readFileSync(new URL(`../docs/${page}`, import.meta.url), 'utf8')
const page = read('capacity.md')

/** The rows of the page's table whose first cell of the head is `head`: the cells after the first, by the first. */
function tableOf(head: string): Map<string, string[]> {
  const lines = page.split('\n')
  const start = lines.findIndex((line) => line.startsWith(`| ${head} `))
  const rows = lines.slice(start + 2, lines.indexOf('', start))
  return new Map(
    rows.map((row) => {
      const [name = '', ...cells] = row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
      return [name, cells]
    }),
  )
}

const rows = (table: Map<string, string[]>, name: string): string[] => {
  const cells = table.get(name)
  if (cells === undefined) throw new Error(`capacity.md has no row "${name}"`)
  return cells
}
/** Every number of a text, as it is written, without the commas. */
const numbersOf = (text: string) =>
  [...text.matchAll(/\d[\d,]*(?:\.\d+)?/g)].map(([number]) => number.replaceAll(',', ''))
const numberOf = (text: string | undefined) => Number(numbersOf(text ?? '')[0])
/** Compares as exactly as the page shows a figure. */
const expectShown = (shown: string, calculated: number, what: string) =>
  expect(shown, what).toBe(calculated.toFixed(shown.split('.')[1]?.length ?? 0))

const RATES = [1_000, 10_000, 100_000, 1_000_000]
const BUSY = 0.6
const one = tableOf('What')
const needed = tableOf('Events a second, single posts')
const costs = tableOf('Events a second')
const microseconds = (name: string, column = 0) => numberOf(rows(one, `processor of ${name}`)[column])
const grown = Number(numbersOf(rows(one, 'processor of PostgreSQL')[0] ?? '')[1])
const [, diskBytes = 0] = numbersOf(rows(one, "PostgreSQL's disk, for good")[0] ?? '').map(Number)
const walBytes = numbersOf(rows(one, "PostgreSQL's write-ahead log")[0] ?? '').map(Number)
const redisBytes = numberOf(rows(one, 'Redis memory while it waits')[0])
const shares = {
  API: microseconds('the API') / 1e6,
  worker: microseconds('the worker') / 1e6,
  Redis: microseconds('Redis') / 1e6,
  PostgreSQL: grown / 1e6,
}
const dailyOf = (rate: number) => (rate / 5) * 86_400
const installationsOf = (index: number) => numberOf(rows(needed, 'installations')[index + 1])
/** What one installation needs, and how many there are. */
const perInstallation = (cell: string) => Number(numbersOf(cell).at(-1))
const atLeast = (least: number, cores: number) => Math.max(least, Math.ceil(cores / BUSY))

test('what one event takes is what performance.md measured', () => {
  const performance = read('performance.md')
  const measured = [...performance.matchAll(/^\| Tidings .*\| (\d+) \+ (\d+) \+ (\d+) \+ (\d+) µs/gm)]
  expect(measured).toHaveLength(2)
  for (const [column, figures] of measured.entries())
    expect(
      ['the API', 'the worker', 'Redis', 'PostgreSQL'].map((name) => microseconds(name, column)),
    ).toEqual(figures.slice(1).map(Number))
  expect(performance).toContain(`${grown} µs at 10^7`)
  const [single, batch] = rows(one, 'Redis memory while it waits').map(numberOf)
  expect(performance).toContain(`${batch} bytes of 1,000,000 in batches of 100, ${single} as single posts`)
})

describe.for(RATES.map((rate, index) => [rate, index] as const))('%i events a second', ([rate, index]) => {
  const cell = (name: string) => rows(needed, name)[index + 1] ?? ''

  test('need what an event takes, as often', () => {
    const [daily = ''] = numbersOf(cell('events a day'))
    expectShown(daily, dailyOf(rate) / 1e6, 'events a day')
    for (const [name, seconds] of Object.entries(shares))
      expectShown(cell(`cores busy: ${name}`), rate * seconds, name)
    const log = numbersOf(cell('write-ahead log a second'))
    expect(log).toHaveLength(2)
    for (const [end, megabytes] of log.entries())
      expectShown(megabytes, (rate * (walBytes[end] ?? 0)) / 1e6, 'write-ahead log')
    const [stored = ''] = numbersOf(cell('rows and keys'))
    expectShown(stored, (dailyOf(rate) * 35 * diskBytes) / 1e12, 'rows and keys')
    const [backlog = ''] = numbersOf(cell('backlog in Redis'))
    expectShown(backlog, (rate * 600 * redisBytes) / 1e9, 'backlog')
  })

  test('need processes that are at most 60 % busy', () => {
    const part = rate / installationsOf(index)
    const masters = atLeast(1, part * shares.Redis)
    expect(perInstallation(cell('processes: API'))).toBe(atLeast(2, part * shares.API))
    expect(perInstallation(cell('processes: worker'))).toBe(atLeast(2, part * shares.worker))
    expect(perInstallation(cell('masters of Redis'))).toBe(masters === 1 ? 1 : Math.max(3, masters))
    expect(perInstallation(cell('cores of PostgreSQL'))).toBeGreaterThanOrEqual(
      (part * shares.PostgreSQL) / BUSY,
    )
    for (const name of ['processes: API', 'processes: worker', 'masters of Redis', 'cores of PostgreSQL'])
      if (installationsOf(index) > 1)
        expect(cell(name)).toBe(`${installationsOf(index)} times ${perInstallation(cell(name))}`)
  })

  test('cost what these cores and disks cost', () => {
    const [corePrice = 0, gigabytePrice = 0] = [
      /\$(\d+) a month for a core/,
      /\$([\d.]+) a month for a GB/,
    ].map((pattern) => Number(pattern.exec(page)?.[1]))
    const count = installationsOf(index)
    const processes = perInstallation(cell('processes: API')) + perInstallation(cell('processes: worker'))
    const machine = [2, 4, 8, 16].find((cores) => 2 * cores >= processes) ?? 0
    const cores = [
      2 * machine,
      2 * perInstallation(cell('cores of PostgreSQL')),
      2 * 2 * perInstallation(cell('masters of Redis')),
    ].map((each) => each * count)
    const coresPrice = cores.reduce((sum, each) => sum + each, 0) * corePrice
    const terabytes = Math.ceil((2 * dailyOf(rate / count) * 35 * diskBytes) / 1e12) * count
    const diskPrice = terabytes * 1_000 * gigabytePrice
    const inAll = coresPrice + diskPrice
    const dollars = (amount: number) => `$${amount.toLocaleString('en-US', { maximumFractionDigits: 0 })}`
    expect(rows(costs, rate.toLocaleString('en-US'))).toEqual([
      cores.join(' + '),
      dollars(coresPrice),
      `${terabytes} TB`,
      dollars(diskPrice),
      dollars(inAll),
      `$${(inAll / ((dailyOf(rate) * 30) / 1e6)).toFixed(2)}`,
    ])
  })
})

test('the limits are 60 % of a core', () => {
  const limits = [...tableOf('At single events a second').keys()].map(numberOf)
  const limitOf = (seconds: number) => Math.round(BUSY / seconds / 1_000) * 1_000
  for (const seconds of [shares.API, shares.worker, shares.Redis]) expect(limits).toContain(limitOf(seconds))
  const batches = limitOf(microseconds('Redis', 1) / 1e6)
  expect(page).toContain(`batches (${batches.toLocaleString('en-US')} a second)`)
})
