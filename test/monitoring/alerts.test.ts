import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findProgram } from '@tidings/stack/servers/find-program'
import { describe, expect, test } from 'vitest'
import { alerts } from './alerts.ts'
import { dashboard } from './dashboard.ts'

const ROOT = new URL('../..', import.meta.url)
const read = (path: string) => readFile(new URL(path, ROOT), 'utf8')
const promtool = findProgram('promtool', process.env.PATH)
const run = (args: string[]) =>
  promisify(execFile)(promtool ?? '', args, { cwd: fileURLToPath(new URL('deploy', ROOT)) })

describe.skipIf(promtool === undefined)(`promtool${promtool ? '' : ': NO PROMTOOL ON THE PATH'}`, () => {
  test('accepts the rules and the configuration', async () => {
    const { stdout } = await run(['check', 'config', 'prometheus.yml'])
    expect(stdout).toContain(`${alerts.length} rules found`)
  })

  test('passes the tests of the rules', async () => {
    const { stdout } = await run(['test', 'rules', 'alerts.test.yml'])
    expect(stdout).toContain('SUCCESS')
  })
})

test('every alert has a test', async () => {
  const tests = await read('deploy/alerts.test.yml')
  expect(alerts.filter(({ alert }) => !tests.includes(alert)).map(({ alert }) => alert)).toEqual([])
})

test('every alert has a section in the runbook, which says whom it calls, and no section is left over', async () => {
  const page = await read('docs/runbook.md')
  const sections = new Map(
    [...page.matchAll(/^## (\w+)\n\n(\w+)/gm)].map(([, name, severity]) => [name, severity?.toLowerCase()]),
  )
  expect([...sections].sort()).toEqual(alerts.map(({ alert, labels }) => [alert, labels.severity]).sort())
  for (const { alert, annotations } of alerts)
    expect(annotations.runbook).toBe(`docs/runbook.md#${alert.toLowerCase()}`)
})

test('the panels of the dashboard have their own ids and places', () => {
  const ids = dashboard.panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const taken = new Set<string>()
  for (const { title, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken, title).not.toContain(`${x} ${y}`)
        taken.add(`${x} ${y}`)
      }
  }
})
