import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSigningKeySet } from '@tidings/shared/signing-keys'
import { COMPILE_CACHE } from '@tidings/stack/compile-cache'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/test-context'
import { beforeAll, describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

const releaser = useReleaser()
let database: TestDatabase
let directory: string
beforeAll(async () => {
  database = await createTestDatabase(releaser)
  directory = await mkdtemp(join(tmpdir(), 'tidings-keys-'))
  releaser.onRelease(() => rm(directory, { recursive: true }))
})

function tidings(args: string[], variables: Record<string, string> = {}): Promise<Outcome> {
  const env = {
    ...COMPILE_CACHE,
    PATH: process.env.PATH,
    DATA_DIR: directory,
    DATABASE_URL: database.url,
    ...variables,
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

const kidsOf = (text: string) => parseSigningKeySet(text).keys.map((key) => key.kid)

describe('tidings keys', () => {
  it('generate prints one usable set on one line, another each time', async () => {
    const [one, two] = [await tidings(['keys', 'generate']), await tidings(['keys', 'generate'])]
    expect(one.stdout.trim().split('\n')).toHaveLength(1)
    expect(kidsOf(one.stdout)).toHaveLength(1)
    expect(kidsOf(one.stdout)).not.toEqual(kidsOf(two.stdout))
  })

  it('rotate puts a new key first, keeps the older ones, and says so in the audit table', async () => {
    const file = join(directory, 'rotated.json')
    await writeFile(file, (await tidings(['keys', 'generate'])).stdout)
    const history = [kidsOf(await readFile(file, 'utf8'))]
    for (let n = 0; n < 3; n++) {
      const outcome = await tidings(['keys', 'rotate'], { JWT_KEYS_FILE: file })
      expect([outcome.code, outcome.stdout]).toEqual([0, ''])
      history.push(kidsOf(await readFile(file, 'utf8')))
    }
    expect(history.map((kids) => kids.length)).toEqual([1, 2, 3, 3])
    const [, once = [], twice = [], thrice = []] = history
    expect(twice.slice(1)).toEqual(once)
    expect(thrice.slice(1)).toEqual(twice.slice(0, 2))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const audit = await database.database.pool.query(
      "SELECT result FROM operator_audit WHERE action = 'keys.rotate'",
    )
    expect(audit.rows.at(-1)).toEqual({ result: `signs ${thrice[0]}` })
    expect(JSON.stringify(audit.rows)).not.toContain('"d"')
  })

  it('rotate in two rounds adds a key that does not sign yet, then signs with it', async () => {
    const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
    const standby = await tidings(['keys', 'rotate', '--standby'], { JWT_KEYS })
    const [old = '', fresh = ''] = kidsOf(standby.stdout)
    expect(old).toBe(kidsOf(JWT_KEYS)[0])
    const used = await tidings(['keys', 'rotate', '--use', fresh], { JWT_KEYS: standby.stdout })
    expect(kidsOf(used.stdout)).toEqual([fresh, old])
    expect((await tidings(['keys', 'rotate', '--use', 'nobody'], { JWT_KEYS })).code).toBe(3)
  })

  it('rotate works while the database is away, and says that it is not in the audit table', async () => {
    const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
    const outcome = await tidings(['keys', 'rotate'], {
      JWT_KEYS,
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
    })
    expect(outcome.code).toBe(0)
    expect(kidsOf(outcome.stdout)).toHaveLength(2)
    expect(outcome.stderr).toContain('not in the audit table')
  })

  it('rotate refuses what it cannot do, without quoting a key', async () => {
    expect((await tidings(['keys', 'rotate'])).code).toBe(64)
    expect((await tidings(['keys', 'rotate', '--file', join(directory, 'absent.json')])).code).toBe(1)
    const broken = await tidings(['keys', 'rotate'], {
      JWT_KEYS: '{"keys":[{"kty":"OKP","d":"secret-part"}]}',
    })
    expect(broken.code).toBe(1)
    expect(broken.stderr).not.toContain('secret-part')
    const readOnly = await tidings(['--read-only', 'keys', 'rotate'], { JWT_KEYS: '{}' })
    expect(readOnly.code).toBe(2)
  })
})
