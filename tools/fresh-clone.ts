import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { createReleaser, type Releaser } from '@tidings/stack/releaser'
import { findFreePort, isPortFree } from '@tidings/stack/servers/free-port'
import { withClient } from '@tidings/stack/servers/postgres'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { README_HEALTH, README_REGISTER, README_STATUS } from '@tidings/stack/testing/django-readme-commands'

/*
 * What a newcomer does, from a clone of HEAD with a bare environment: npm start, the curl lines, Ctrl-C, npm
 * start again. Once with a Redis on the PATH, where the machine has one, and once without.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const INSTALL_LIMIT_MS = 600_000
const SECOND_START_LIMIT_MS = 5_000
const REDIS_PROGRAMS = /^(redis|valkey)-server$/

const say = (text: string) => void process.stdout.write(`${text}\n`)

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`Not so: ${what}`)
  say(`  ok: ${what}`)
}

/** The PATH without this checkout's own programs, and without a Redis when it shall have none. */
async function makePath(withRedis: boolean, releaser: Releaser): Promise<string> {
  const folders = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
  if (withRedis) return folders.join(delimiter)
  const shadowRoot = await makeTemporary(releaser)
  const shadows = folders.map(async (folder, index) => {
    const names = await readdir(folder).catch(() => [])
    if (!names.some((name) => REDIS_PROGRAMS.test(name))) return folder
    const shadow = join(shadowRoot, String(index))
    await mkdir(shadow)
    for (const name of names)
      if (!REDIS_PROGRAMS.test(name)) await symlink(join(folder, name), join(shadow, name))
    return shadow
  })
  return (await Promise.all(shadows)).join(delimiter)
}

/** A folder that only its owner may enter, as a home folder is. */
async function makeTemporary(releaser: Releaser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-fresh-'))
  return releaser.add(folder, (path) => rm(path, { recursive: true, force: true }))
}

interface Run {
  child: ChildProcess & { pid: number }
  output(): string
  exited: Promise<number | null>
}

function npmStart(folder: string, env: NodeJS.ProcessEnv): Run {
  const child = spawn('npm', ['start'], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (child.pid === undefined) throw new Error('npm did not start')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return { child: child as Run['child'], output: () => output, exited }
}

/** Milliseconds until the API says that it is ready. */
async function waitUntilHealthy(run: Run, apiUrl: string, timeoutMs: number): Promise<number> {
  const startedAt = performance.now()
  await waitFor(
    'npm start to be healthy',
    async () => run.child.exitCode !== null || (await fetch(`${apiUrl}/health/ready`)).ok,
    { timeoutMs, explain: run.output },
  )
  if (run.child.exitCode !== null) throw new Error(`npm start ended:\n${run.output()}`)
  const ms = Math.round(performance.now() - startedAt)
  await waitFor('the banner', () => run.output().includes('Ctrl-C stops everything'))
  return ms
}

function listDescendants(pid: number): number[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
  const pairs = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  const found = [pid]
  for (let index = 0; index < found.length; index++)
    for (const [child, parent] of pairs) if (parent === found[index] && child !== undefined) found.push(child)
  return found
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Ends a run and makes sure that nothing of it goes on. */
async function stopAndCheck(run: Run, how: string, send: () => void): Promise<void> {
  const pids = listDescendants(run.child.pid)
  check(pids.length > 5, `${pids.length} processes run`)
  send()
  await waitFor('npm start to end', () => run.child.exitCode !== null || run.child.signalCode !== null, {
    timeoutMs: 30_000,
    explain: run.output,
  })
  // npm may be gone a moment before the rest.
  const left = () => pids.filter(isAlive)
  await waitFor('every process to end', () => left().length === 0, {
    timeoutMs: 20_000,
    explain: () => String(left()),
  })
  say(`  ok: ${how} leaves no process`)
}

function runShell(command: string): string {
  return execFileSync('sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

async function walkThrough(folder: string, port: number): Promise<void> {
  const apiUrl = `http://localhost:${port}`
  const devEnv = parseEnv(await readFile(join(folder, '.data/dev.env'), 'utf8'))
  const run = (command: string) =>
    JSON.parse(
      runShell(
        command
          .replaceAll('localhost:8001', `localhost:${port}`)
          .replace('<token>', devEnv.SERVICE_KEY ?? ''),
      ),
    )

  check(run(README_HEALTH).status === 'healthy', 'health')
  const registered = run(README_REGISTER)
  check(registered.success && registered.data.user.email === 'test@example.com', 'a user registers')
  const login = run(
    `curl ${apiUrl}/api/v1/users/login/ -H 'Content-Type: application/json' -d '{"email": "test@example.com", "password": "securepass123"}'`,
  )
  check(login.success && typeof login.data.token === 'string', 'and logs in')
  const user = run(
    `curl ${apiUrl}/api/v1/users/${login.data.user.id}/ -H 'Authorization: Bearer ${login.data.token}'`,
  )
  check(user.data.name === 'Test User', 'and is read with the token')
  check(run(README_STATUS).success, 'a status is accepted')
  const postedAt = performance.now()
  const count = await waitFor(
    'the row',
    () =>
      withClient(devEnv.DATABASE_URL ?? '', async (client) => {
        const rows = await client.query(
          `SELECT status FROM notification_status WHERE notification_id = 'notif-123'`,
        )
        return rows.rows[0]?.status === 'delivered' && rows.rows.length
      }),
    { timeoutMs: 5_000, intervalMs: 20 },
  )
  check(count === 1, `it is one row in PostgreSQL, ${Math.round(performance.now() - postedAt)} ms later`)
  const shown = run(
    `curl ${apiUrl}/api/v1/notifications/notif-123/ -H 'Authorization: Bearer ${devEnv.SERVICE_KEY}'`,
  )
  check(shown.data.status === 'delivered' && shown.data.timeline.length === 1, 'and the API shows it')
}

async function beNewcomer(withRedis: boolean): Promise<void> {
  const releaser = createReleaser()
  try {
    const folder = join(await makeTemporary(releaser), 'tidings')
    execFileSync('git', ['clone', '--quiet', ROOT, folder], { stdio: 'inherit' })
    const port = (await isPortFree(8001, '127.0.0.1')) ? 8001 : await findFreePort()
    const apiUrl = `http://localhost:${port}`
    const env = {
      HOME: process.env.HOME,
      PATH: await makePath(withRedis, releaser),
      ...(port !== 8001 && { PORT: String(port) }),
    }
    const start = (more: NodeJS.ProcessEnv = {}) => {
      const run = npmStart(folder, { ...env, ...more })
      releaser.onRelease(() => {
        if (run.child.exitCode === null && run.child.signalCode === null) run.child.kill('SIGTERM')
        return run.exited.then(() => {})
      })
      return run
    }

    const first = start()
    say(
      `  ok: healthy ${await waitUntilHealthy(first, apiUrl, INSTALL_LIMIT_MS)} ms after npm start in a new clone`,
    )
    const hasRedis = withRedis && first.output().includes('Redis, a private one')
    check(
      hasRedis === withRedis,
      withRedis ? 'the queue is in a private Redis' : 'the queue is in PostgreSQL',
    )
    await walkThrough(folder, port)

    const again = start()
    check((await again.exited) === 1, 'a second npm start on the same data fails')
    check(/^Tidings already runs on .*$/m.test(again.output()), 'and says why in one line')
    const other = start({ DATA_DIR: '.data-other' })
    check((await other.exited) === 1, 'one on a port that is taken fails')
    check(
      new RegExp(`^Port ${port} on \\S+ is already in use.*$`, 'm').test(other.output()),
      'and says why in one line',
    )

    await stopAndCheck(first, 'Ctrl-C', () => process.kill(-first.child.pid, 'SIGINT'))
    const second = start()
    const times = [await waitUntilHealthy(second, apiUrl, 60_000)]
    const devEnv = parseEnv(await readFile(join(folder, '.data/dev.env'), 'utf8'))
    const kept = runShell(
      `curl ${apiUrl}/api/v1/notifications/notif-123/ -H 'Authorization: Bearer ${devEnv.SERVICE_KEY}'`,
    )
    check(kept.includes('delivered'), 'and the data is still there')
    await stopAndCheck(second, 'SIGTERM to npm alone', () => second.child.kill('SIGTERM'))
    const third = start()
    times.push(await waitUntilHealthy(third, apiUrl, 60_000))
    // Whatever else the machine is busy with only makes it longer: the best of them counts.
    check(
      Math.min(...times) < SECOND_START_LIMIT_MS,
      `later starts are healthy after ${times.join(' and ')} ms`,
    )
    await stopAndCheck(third, 'even kill -9 of all that npm started', () =>
      process.kill(-third.child.pid, 'SIGKILL'),
    )
  } finally {
    await releaser.release()
  }
}

const hasRedis = (process.env.PATH ?? '')
  .split(delimiter)
  .some((folder) => ['redis-server', 'valkey-server'].some((name) => existsSync(join(folder, name))))
say('A fresh clone, without a Redis on the PATH:')
await beNewcomer(false)
if (hasRedis) {
  say('A fresh clone, with a Redis on the PATH:')
  await beNewcomer(true)
} else say('NO REDIS ON THE PATH: the walk with Redis was left out.')
