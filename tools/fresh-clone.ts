import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readEnvFile } from '@tidings/runtime/env-file'
import { createReleaser, type Releaser } from '@tidings/stack/releaser'
import { findFreePort, isPortFree } from '@tidings/stack/servers/free-port'
import { withClient } from '@tidings/stack/servers/postgres'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { README_HEALTH, README_REGISTER, README_STATUS } from '@tidings/stack/testing/django-readme-commands'
import { runNpmStart, stopCompletely, waitUntilReady } from '@tidings/stack/testing/npm-start'

/*
 * npm run test:fresh: does what a newcomer does in a clone of HEAD with a bare environment: npm start, the curl commands,
 * Ctrl-C, npm start again. Once without a Redis on the PATH and, where the machine has one, once with it.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const INSTALL_LIMIT_MS = 600_000
const START_LIMIT_MS = 60_000
/** A later start must be ready within this. */
const LATER_START_MS = 5_000
const REDIS_PROGRAMS = /^(redis|valkey)-server$/

interface Machine {
  PATH: string
  HOME: string | undefined
}

const say = (text: string) => void process.stdout.write(`${text}\n`)

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`Not so: ${what}`)
  say(`  ok: ${what}`)
}

/** Creates a folder that only its owner may enter, as a home folder often is. */
async function makeFolder(releaser: Releaser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-fresh-'))
  return releaser.add(folder, (path) => rm(path, { recursive: true, force: true }))
}

/** Returns a PATH that has the same programs without Redis: copies each folder that has one, as links. */
async function hideRedis(path: string, releaser: Releaser): Promise<string> {
  const copies = await makeFolder(releaser)
  const folders = path.split(delimiter).map(async (folder, index) => {
    const names = await readdir(folder).catch(() => [])
    if (!names.some((name) => REDIS_PROGRAMS.test(name))) return folder
    const copy = join(copies, String(index))
    await mkdir(copy)
    for (const name of names)
      if (!REDIS_PROGRAMS.test(name)) await symlink(join(folder, name), join(copy, name))
    return copy
  })
  return (await Promise.all(folders)).join(delimiter)
}

const runShell = (command: string): string =>
  execFileSync('sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/** Runs the commands of the README against a running system, and looks for the row in PostgreSQL. */
async function tryCommands(folder: string, port: number): Promise<void> {
  const apiUrl = `http://localhost:${port}`
  const { SERVICE_KEY = '', DATABASE_URL = '' } = readEnvFile(join(folder, '.data/dev.env'))
  const run = (command: string) =>
    JSON.parse(
      runShell(command.replaceAll('localhost:8001', `localhost:${port}`).replace('<token>', SERVICE_KEY)),
    )

  check(run(README_HEALTH).status === 'healthy', 'health')
  const registered = run(README_REGISTER)
  check(registered.success && registered.data.user.email === 'test@example.com', 'a user registers')
  const login = run(
    `curl ${apiUrl}/api/v1/users/login/ -H 'Content-Type: application/json' -d '{"email": "test@example.com", "password": "securepass123"}'`,
  )
  check(login.success && typeof login.data.token === 'string', 'the user logs in')
  const user = run(
    `curl ${apiUrl}/api/v1/users/${login.data.user.id}/ -H 'Authorization: Bearer ${login.data.token}'`,
  )
  check(user.data.name === 'Test User', 'the user is read with the token')
  check(run(README_STATUS).success, 'a status is accepted')
  const postedAt = performance.now()
  const count = await waitFor(
    'the row',
    () =>
      withClient(DATABASE_URL, async (client) => {
        const sql = `SELECT status FROM notification_status WHERE notification_id = 'notif-123'`
        const { rows } = await client.query(sql)
        return rows[0]?.status === 'delivered' && rows.length
      }),
    { timeoutMs: 5_000, intervalMs: 20 },
  )
  check(count === 1, `it is one row in PostgreSQL, ${Math.round(performance.now() - postedAt)} ms later`)
  const shown = run(readNotification(apiUrl, SERVICE_KEY))
  check(shown.data.status === 'delivered' && shown.data.timeline.length === 1, 'the API shows it')
}

const readNotification = (apiUrl: string, serviceKey: string | undefined) =>
  `curl ${apiUrl}/api/v1/notifications/notif-123/ -H 'Authorization: Bearer ${serviceKey}'`

async function tryFreshClone(withRedis: boolean, machine: Machine): Promise<void> {
  const releaser = createReleaser()
  try {
    const folder = join(await makeFolder(releaser), 'tidings')
    execFileSync('git', ['clone', '--quiet', ROOT, folder], { stdio: 'inherit' })
    const port = (await isPortFree(8001, '127.0.0.1')) ? 8001 : await findFreePort()
    const apiUrl = `http://localhost:${port}`
    const PATH = withRedis ? machine.PATH : await hideRedis(machine.PATH, releaser)
    const env = { HOME: machine.HOME, PATH, ...(port !== 8001 && { PORT: String(port) }) }
    const start = (more: NodeJS.ProcessEnv = {}) => runNpmStart(folder, { ...env, ...more }, releaser)

    const first = start()
    const firstMs = await waitUntilReady(first, apiUrl, INSTALL_LIMIT_MS)
    say(`  ok: ready ${firstMs} ms after npm start in a new clone`)
    check(
      first.output().includes('Redis, a private one') === withRedis,
      withRedis ? 'the queue is in a private Redis' : 'the queue is in PostgreSQL',
    )
    await tryCommands(folder, port)

    const again = start()
    check((await again.exited) === 1, 'a second npm start on the same data fails')
    check(/^Tidings already runs on .*$/m.test(again.output()), 'and says why in one line')
    const other = start({ DATA_DIR: '.data-other' })
    check((await other.exited) === 1, 'a second npm start on the same port fails')
    const taken = new RegExp(`^Port ${port} on \\S+ is already in use.*$`, 'm')
    check(taken.test(other.output()), 'and says why in one line')

    let processes = await stopCompletely(first, () => process.kill(-first.child.pid, 'SIGINT'))
    check(processes > 5, `Ctrl-C ends all ${processes} processes`)
    const second = start()
    const times = [await waitUntilReady(second, apiUrl, START_LIMIT_MS)]
    const { SERVICE_KEY } = readEnvFile(join(folder, '.data/dev.env'))
    check(runShell(readNotification(apiUrl, SERVICE_KEY)).includes('delivered'), 'the data is still there')
    processes = await stopCompletely(second, () => second.child.kill('SIGTERM'))
    say(`  ok: SIGTERM to npm alone ends all ${processes} processes`)
    const third = start()
    times.push(await waitUntilReady(third, apiUrl, START_LIMIT_MS))
    // Other work of the machine only makes a start slower, so the best time counts.
    check(Math.min(...times) < LATER_START_MS, `later starts are ready after ${times.join(' and ')} ms`)
    processes = await stopCompletely(third, () => process.kill(-third.child.pid, 'SIGKILL'))
    say(`  ok: kill -9 of npm's process group ends all ${processes} processes`)
  } finally {
    await releaser.release()
  }
}

/** The PATH without the programs of this checkout. */
const PATH = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter)
const machine = { PATH, HOME: process.env.HOME }
say('A fresh clone, without a Redis on the PATH:')
await tryFreshClone(false, machine)
if (findRedisServer(PATH) === undefined) say('NO REDIS ON THE PATH: the run with Redis was left out.')
else {
  say('A fresh clone, with a Redis on the PATH:')
  await tryFreshClone(true, machine)
}
