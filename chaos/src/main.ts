import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findProgram } from '@tidings/stack/servers/find-program'
import { findRedisServer, NO_REDIS_SERVER } from '@tidings/stack/servers/redis'
import type { Row } from './row.ts'
import { rowsOf, TOPOLOGY_ROWS } from './rows/all.ts'
import { type RowOutcome, runMatrix } from './run-matrix.ts'
import { TOPOLOGIES } from './system.ts'

/** Wrapped at 78 columns. */
const namesOf = (title: string, rows: readonly Row[]) =>
  `${title}: ${rows.map((row) => row.name).join(', ')}`.replace(/(.{1,78})(?: |$)/g, '$1\n')

const HELP = `Runs the fault matrix against real processes: it starts its own PostgreSQL and
Redis, and kills, freezes and fills them under load. The client's ledger of
acknowledged events shows which are lost or doubled.

  npm run chaos                              every row, then 10 minutes of nemesis
  npm run chaos -- --short                   the short form, which npm test runs
  npm run chaos -- --only redis-down,poison  some rows
  npm run chaos -- --only nemesis --minutes 2
  npm run chaos -- --seed 42                 the same random choices again
  npm run chaos -- --topology cluster        on a Redis Cluster of 3 masters with a
                                             replica each, --minutes of faults, 5 at most
  npm run chaos -- --topology sentinel       on a Redis with a replica and Sentinels
  npm run chaos -- --topology pgbouncer      with PgBouncer in front of PostgreSQL
  npm run chaos -- --topology replica        on a PostgreSQL with a standby, which is
                                             promoted when the primary is killed

${namesOf('Rows', rowsOf(undefined))}${TOPOLOGIES.map((name) => namesOf(`Rows of ${name}`, TOPOLOGY_ROWS[name])).join('')}Exit code: 0 when every row passes, 1 when one fails, 64 for a usage error.
`

const USAGE_ERROR = 64

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      seed: { type: 'string' },
      minutes: { type: 'string', default: '10' },
      short: { type: 'boolean', default: false },
      topology: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const topology = TOPOLOGIES.find((name) => name === values.topology)
  if (topology !== values.topology) throw new Error(`There is no topology ${values.topology}.`)
  const all = rowsOf(topology)
  const names = values.only?.split(',')
  const unknown = names?.find((name) => !all.some((row) => row.name === name))
  if (unknown !== undefined) throw new Error(`There is no row ${unknown}.`)
  const rows = names
    ? all.filter((row) => names.includes(row.name))
    : all.filter((row) => !values.short || row.short)
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
  const minutes = Number(values.minutes)
  if (!Number.isInteger(seed)) throw new Error('Give --seed a whole number.')
  if (!(minutes > 0 && minutes <= 120)) throw new Error('Give --minutes a number above 0, up to 120.')
  return { rows, seed, minutes, topology, short: values.short, help: values.help }
}

function printTable(outcomes: RowOutcome[]): void {
  const out = process.stdout
  out.write('\n| Fault | Result | Seen | Seconds |\n|---|---|---|---|\n')
  for (const { row, checks, passed, seconds } of outcomes) {
    const seen = checks.map((c) => `${c.ok ? '' : 'MISSED '}${c.must}: ${c.seen}`).join('; ')
    out.write(`| ${row.fault} | ${passed ? 'pass' : 'FAIL'} | ${seen} | ${seconds.toFixed(0)} |\n`)
  }
}

let options: ReturnType<typeof readOptions>
try {
  options = readOptions()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
  process.exit(USAGE_ERROR)
}
if (options.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
const hasRedis = findRedisServer(process.env.PATH) !== undefined
const rowsOnQueue = options.rows.filter((row) => hasRedis || row.queue === 'postgres')
const skipped = options.rows.length - rowsOnQueue.length
if (skipped > 0) {
  process.stderr.write(`${NO_REDIS_SERVER} ${skipped} rows that need one are skipped.\n`)
}
const rows = rowsOnQueue.filter(({ name, needs }) => {
  const isHere = needs === undefined || findProgram(needs, process.env.PATH) !== undefined
  if (!isHere) process.stderr.write(`There is no ${needs} on the PATH. The row ${name} is SKIPPED.\n`)
  return isHere
})
if (rows.length === 0) process.exit(1)
if (options.topology === 'pgbouncer' && findProgram('pgbouncer', process.env.PATH) === undefined) {
  process.stderr.write('There is no pgbouncer on the PATH.\n')
  process.exit(1)
}

const dir = await mkdtemp(join(tmpdir(), 'tidings-chaos-'))
process.stdout.write(`seed ${options.seed}; logs in ${dir} if a row fails\n`)
const live = process.stderr.isTTY
const outcomes = await runMatrix({
  ...options,
  rows,
  dir,
  report: {
    rowStarts: (row, index) =>
      process.stderr.write(`[${index + 1}/${rows.length}] ${row.fault} …${live ? '' : '\n'}`),
    rowProgress: (row, text) => {
      if (live) process.stderr.write(`\r\x1b[K  ${row.fault}: ${text}`)
    },
    rowEnds: ({ row, passed, seconds, checks }) => {
      process.stderr.write(
        `${live ? '\r\x1b[K' : ''}${passed ? 'pass' : 'FAIL'}  ${row.fault}  ${seconds.toFixed(0)} s\n`,
      )
      for (const c of checks.filter((each) => !each.ok))
        process.stderr.write(`      missed: ${c.must} (seen: ${c.seen})\n`)
    },
  },
})
printTable(outcomes)
process.exit(outcomes.every((outcome) => outcome.passed) ? 0 : 1)
