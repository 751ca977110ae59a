import { execFile, spawnSync } from 'node:child_process'
import {
  chmod,
  chown,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generateSigningKey, MAX_SIGNING_KEYS, parseSigningKeySet } from '@tidings/shared/signing-keys'
import { COMPILE_CACHE } from '@tidings/stack/dev/compile-cache'
import {
  createTestDatabase,
  databaseVariables,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCli } from '../../testing/cli-process.ts'

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url))

interface Outcome {
  code: number | null
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

const variablesFor = (variables: Record<string, string>) => ({
  DATA_DIR: directory,
  ...databaseVariables(database),
  ...variables,
})

async function tidings(args: string[], variables: Record<string, string> = {}): Promise<Outcome> {
  const { exitCode, ...said } = await createCli(variablesFor(variables)).run(...args)
  return { code: exitCode, ...said }
}

/** Runs the CLI in a process of another user. */
function tidingsAsStranger(args: string[], variables: Record<string, string> = {}): Promise<Outcome> {
  const env = { ...COMPILE_CACHE, PATH: process.env.PATH, ...variablesFor(variables) }
  const who = { uid: STRANGER, gid: STRANGER }
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env, ...who }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

/** A user id that this machine does not have. */
const STRANGER = 54_321
const isRoot = process.getuid?.() === 0
/** Only root may start a process of another user, and that user must be able to read the checkout. */
const canBeStranger =
  isRoot && spawnSync(process.execPath, ['--check', MAIN], { uid: STRANGER, gid: STRANGER }).status === 0
const onlyWithStranger = canBeStranger ? '' : ': ONLY AS ROOT, IN A FOLDER THAT OTHERS MAY READ'

const kidsOf = (text: string) => parseSigningKeySet(text).keys.map((key) => key.kid)
const algorithmsOf = (text: string) => parseSigningKeySet(text).keys.map((key) => key.alg)

describe('tidings keys', () => {
  it('generate prints a new usable set on one line each time', async () => {
    const [one, two] = [await tidings(['keys', 'generate']), await tidings(['keys', 'generate'])]
    expect(one.stdout.trim().split('\n')).toHaveLength(1)
    expect(kidsOf(one.stdout)).toHaveLength(1)
    expect(kidsOf(one.stdout)).not.toEqual(kidsOf(two.stdout))
  })

  it.each([
    [[], 'EdDSA'],
    [['--alg', 'EdDSA'], 'EdDSA'],
    [['--alg', 'ES256'], 'ES256'],
  ])('generate %j makes a key for %s', async (args, alg) => {
    expect(algorithmsOf((await tidings(['keys', 'generate', ...args])).stdout)).toEqual([alg])
  })

  it('rotate makes a key of the algorithm that is asked for, otherwise of the one in use', async () => {
    const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
    const mixed = await tidings(['keys', 'rotate', '--alg', 'ES256'], { JWT_KEYS })
    expect(algorithmsOf(mixed.stdout)).toEqual(['ES256', 'EdDSA'])
    const again = await tidings(['keys', 'rotate'], { JWT_KEYS: mixed.stdout })
    expect(algorithmsOf(again.stdout)).toEqual(['ES256', 'ES256', 'EdDSA'])
    const standby = await tidings(['keys', 'rotate', '--standby', '--alg', 'EdDSA'], {
      JWT_KEYS: mixed.stdout,
    })
    expect(algorithmsOf(standby.stdout)).toEqual(['ES256', 'EdDSA', 'EdDSA'])
  })

  it('refuses an unknown algorithm, and one beside --use', async () => {
    const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
    for (const args of [
      ['generate', '--alg', 'HS256'],
      ['rotate', '--alg', 'none'],
      ['rotate', '--alg', 'ES256', '--use', kidsOf(JWT_KEYS)[0] ?? ''],
    ])
      expect(await tidings(['keys', ...args], { JWT_KEYS })).toMatchObject({ code: 64, stdout: '' })
  })

  it('rotate puts a new key first, keeps the older ones, and writes an audit row', async () => {
    const file = join(directory, 'rotated.json')
    await writeFile(file, (await tidings(['keys', 'generate'])).stdout)
    const history = [kidsOf(await readFile(file, 'utf8'))]
    for (let n = 0; n < 3; n++) {
      const outcome = await tidings(['keys', 'rotate', '--yes'], { JWT_KEYS_FILE: file })
      expect([outcome.code, outcome.stdout]).toEqual([0, ''])
      history.push(kidsOf(await readFile(file, 'utf8')))
    }
    expect(history.map((kids) => kids.length)).toEqual([1, 2, 3, 3])
    const [, once = [], twice = [], thrice = []] = history
    expect(twice.slice(1)).toEqual(once)
    expect(thrice.slice(1)).toEqual(twice.slice(0, 2))
    const audit = await database.database.pool.query(
      "SELECT result FROM operator_audit WHERE action = 'keys.rotate'",
    )
    expect(audit.rows.at(-1)).toEqual({ result: `signs ${thrice[0]}` })
    expect(JSON.stringify(audit.rows)).not.toContain('"d"')
  })

  it('rotate asks before it replaces a file, and changes nothing where nobody can answer', async () => {
    const file = join(directory, 'asked.json')
    const { stdout } = await tidings(['keys', 'generate'])
    await writeFile(file, stdout)
    const outcome = await tidings(['keys', 'rotate', '--file', file])
    expect(outcome).toMatchObject({ code: 2, stdout: '' })
    expect(outcome.stderr).toContain('there is no terminal to ask on. Add --yes')
    expect(await readFile(file, 'utf8')).toBe(stdout)
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

  it('rotate works without a database, and says that the audit row is missing', async () => {
    const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
    const outcome = await tidings(['keys', 'rotate'], {
      JWT_KEYS,
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
    })
    expect(outcome.code).toBe(0)
    expect(kidsOf(outcome.stdout)).toHaveLength(2)
    expect(outcome.stderr).toContain('not in the audit table')
  })

  it('rotate refuses missing and broken sets, without printing a key', async () => {
    expect((await tidings(['keys', 'rotate'])).code).toBe(64)
    const file = join(directory, 'absent.json')
    const absent = await tidings(['keys', 'rotate', '--file', file])
    expect(absent.code).toBe(3)
    expect(absent.stderr).toContain(`There is no file ${file}; make one: tidings keys generate > ${file}`)
    const broken = await tidings(['keys', 'rotate'], {
      JWT_KEYS: '{"keys":[{"kty":"OKP","d":"secret-part"}]}',
    })
    expect(broken.code).toBe(1)
    expect(broken.stderr).not.toContain('secret-part')
    const readOnly = await tidings(['--read-only', 'keys', 'rotate'], { JWT_KEYS: '{}' })
    expect(readOnly.code).toBe(2)
  })

  it('rotate never makes a set that is too large to be read', async () => {
    const JWT_KEYS = JSON.stringify({
      keys: Array.from({ length: MAX_SIGNING_KEYS }, () => generateSigningKey()),
    })
    const rotate = (...args: string[]) => tidings(['keys', 'rotate', ...args], { JWT_KEYS })
    const refused = await rotate('--standby')
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    const [advice = ''] = /--use \S+ --keep \d+/.exec(refused.stderr) ?? []
    expect(kidsOf((await rotate(...advice.split(' '))).stdout)).toEqual(kidsOf(JWT_KEYS).slice(0, 3))
    expect(kidsOf((await rotate('--keep', '15')).stdout)).toHaveLength(MAX_SIGNING_KEYS)
    expect((await rotate('--keep', '16')).code).toBe(64)
  })

  const makeKeyFile = async (mode: number) => {
    const folder = await mkdtemp(join(directory, 'file-'))
    const file = join(folder, 'keys.json')
    await writeFile(file, (await tidings(['keys', 'generate'])).stdout)
    await chmod(file, mode)
    return { folder, file }
  }

  it.each(['600', '640'])('rotate keeps owner, group and mode %s of the file', async (mode) => {
    const { folder, file } = await makeKeyFile(Number.parseInt(mode, 8))
    if (isRoot) await chown(file, STRANGER, STRANGER)
    const before = await stat(file)
    const link = join(folder, 'link.json')
    await symlink('keys.json', link)
    expect((await tidings(['keys', 'rotate', '--file', link, '--yes'])).code).toBe(0)
    const { uid, gid } = before
    expect(await stat(file)).toMatchObject({ uid, gid, mode: before.mode })
    expect(kidsOf(await readFile(file, 'utf8'))).toHaveLength(2)
    expect(await realpath(link)).toBe(await realpath(file))
  })

  it.skipIf(!canBeStranger)(
    `rotate does not change a file whose owner it cannot keep${onlyWithStranger}`,
    async () => {
      const { folder, file } = await makeKeyFile(0o644)
      await chmod(directory, 0o755)
      await chown(folder, STRANGER, STRANGER)
      const before = await readFile(file, 'utf8')
      const outcome = await tidingsAsStranger(['keys', 'rotate', '--file', file, '--yes'])
      expect(outcome).toMatchObject({ code: 1, stdout: '' })
      expect(outcome.stderr).toContain(`${file} is unchanged`)
      expect(await readFile(file, 'utf8')).toBe(before)
      expect(await readdir(folder)).toEqual(['keys.json'])
    },
  )

  it.skipIf(!canBeStranger)(
    `the audit table names a user without a name by number${onlyWithStranger}`,
    async () => {
      const { stdout: JWT_KEYS } = await tidings(['keys', 'generate'])
      const outcome = await tidingsAsStranger(['keys', 'rotate'], { JWT_KEYS })
      expect([outcome.code, outcome.stderr]).toEqual([0, expect.not.stringContaining('audit')])
      const { rows } = await database.database.pool.query(
        'SELECT actor FROM operator_audit ORDER BY at DESC, id DESC LIMIT 1',
      )
      expect(rows).toEqual([{ actor: `uid ${STRANGER}` }])
    },
  )
})
