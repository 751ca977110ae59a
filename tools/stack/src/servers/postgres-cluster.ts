import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { spawnGuarded } from './guarded-process.ts'
import type { Owner, PostgresUser } from './postgres-user.ts'
import { waitFor } from './wait-for.ts'

/** Files of one private PostgreSQL, all below its data directory. */
export interface ClusterPaths {
  cluster: string
  password: string
  log: string
}

export const clusterPaths = (dataDir: string): ClusterPaths => ({
  cluster: join(dataDir, 'cluster'),
  password: join(dataDir, 'password'),
  log: join(dataDir, 'postgres.log'),
})

/** Makes the cluster unless it is there already. An interrupted attempt leaves nothing that looks finished. */
export async function createCluster(
  paths: ClusterPaths,
  initdb: string,
  user: PostgresUser,
  options: { durable: boolean; env: NodeJS.ProcessEnv; logFd: number },
): Promise<void> {
  if (await exists(paths.cluster)) return
  const unfinished = `${paths.cluster}.new`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { mode: 0o700 })
  await writeFile(paths.password, randomBytes(24).toString('base64url'), { mode: 0o600 })
  await giveTo(user.owner, unfinished, paths.password)
  const { command, args, ...as } = user.run(initdb, [
    `--pgdata=${unfinished}`,
    '--username=tidings',
    `--pwfile=${paths.password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The same order of text on every machine, whatever locales it has.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(options.durable ? [] : ['--no-sync']),
  ])
  const child = await spawnGuarded(command, args, {
    env: options.env,
    ...as,
    stdout: options.logFd,
    stderr: options.logFd,
    stopSignal: 'INT',
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`PostgreSQL could not create its data directory; see ${paths.log}`)
  await rename(unfinished, paths.cluster)
}

/**
 * Stops a server that a dead parent left behind on this data directory.
 *
 * @throws when it does not stop.
 */
export async function stopStaleServer(paths: ClusterPaths): Promise<void> {
  const pidFile = join(paths.cluster, 'postmaster.pid')
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).split('\n')[0])
  if (!pid || !isPostgresOn(pid, paths.cluster)) return
  process.kill(pid, 'SIGINT')
  await waitFor(`the PostgreSQL left over from before (process ${pid}) to stop`, () => !isAlive(pid), {
    timeoutMs: 30_000,
  })
}

/** The process id may belong to something else by now: its command line tells. */
function isPostgresOn(pid: number, cluster: string): boolean {
  try {
    const command = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
    return command.includes(cluster)
  } catch {
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function giveTo(owner: Owner | undefined, ...paths: string[]): Promise<void> {
  if (owner === undefined) return
  for (const path of paths) await chown(path, owner.uid, owner.gid)
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
