import { readFile } from 'node:fs/promises'
import { API_VARIABLES, readEnv } from '@tidings/api/env'
import { CLI_VARIABLES } from '@tidings/cli/env'
import { START_VARIABLES } from '@tidings/stack/dev/env'
import { WORKER_VARIABLES } from '@tidings/worker/env'
import { describe, expect, test } from 'vitest'

const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
const documented = new Map(
  [...text.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name, value]) => [name, value]),
)
/** Only docker-compose.yml reads these. */
const COMPOSE_VARIABLES = ['POSTGRES_PASSWORD', 'PROXY_PORT', 'GRAFANA_PASSWORD']

describe('.env.example', () => {
  test('documents every variable that a program reads, and no other', () => {
    const read = [
      ...API_VARIABLES,
      ...WORKER_VARIABLES,
      ...CLI_VARIABLES,
      ...START_VARIABLES,
      ...COMPOSE_VARIABLES,
    ]
    expect([...documented.keys()].sort()).toEqual([...new Set(read)].sort())
  })

  test('has a comment for each variable', () => {
    const bare = [...text.matchAll(/(^.*\n)^([A-Z][A-Z0-9_]*)=/gm)].filter(([, before]) => before === '\n')
    expect(bare.map(([, , name]) => name)).toEqual([])
  })

  test('shows the defaults of the API', () => {
    const defaults = Object.entries(readEnv({ DATABASE_URL: 'postgres://a:b@localhost/c' })).filter(
      ([name, value]) => name !== 'DATABASE_URL' && value !== undefined,
    )
    expect(defaults.length).toBeGreaterThan(10)
    for (const [name, value] of defaults) expect([name, documented.get(name)]).toEqual([name, String(value)])
  })
})
