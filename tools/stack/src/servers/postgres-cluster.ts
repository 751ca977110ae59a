import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileIfExists } from '@tidings/runtime/read-file-if-exists'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { spawnGuarded } from './guarded-process.ts'
import { isAlive } from './is-alive.ts'
import type { PostgresUser } from './postgres-user.ts'
import { waitFor } from './wait-for.ts'

/** The files of one private PostgreSQL, all below its data directory. */
export interface ClusterPaths {
  cluster: string
  password: string
  /** Holds the port of the last start. */
  port: string
  log: string
}

export const clusterPaths = (dataDir: string): ClusterPaths => ({
  cluster: join(dataDir, 'cluster'),
  password: join(dataDir, 'password'),
  port: join(dataDir, 'port'),
  log: join(dataDir, 'postgres.log'),
})

/**
 * Creates the cluster, unless it exists. An interrupted attempt leaves nothing that looks finished.
 *
 * @throws when initdb fails; the message names the log.
 */
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
  await writeSecretFile(paths.password, randomBytes(24).toString('base64url'))
  if (user.owner)
    for (const path of [unfinished, paths.password]) await chown(path, user.owner.uid, user.owner.gid)
  const { command, args, ...as } = user.run(initdb, [
    `--pgdata=${unfinished}`,
    '--username=tidings',
    `--pwfile=${paths.password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Sorts text in the same order on every machine, whatever locales the machine has.
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
 * Stops a server that a killed parent left on this data directory.
 *
 * @throws WaitTimeoutError when it does not stop.
 */
export async function stopStaleServer(paths: ClusterPaths): Promise<void> {
  const pidFile = readFileIfExists(join(paths.cluster, 'postmaster.pid'))
  const pid = Number(pidFile?.split('\n')[0])
  if (!pid || !isPostgresOn(pid, paths.cluster)) return
  process.kill(pid, 'SIGINT')
  await waitFor(`the PostgreSQL of an earlier start (process ${pid}) to stop`, () => !isAlive(pid), {
    timeoutMs: 30_000,
  })
}

/** Checks the command line, because the process id may belong to another program by now. */
function isPostgresOn(pid: number, cluster: string): boolean {
  try {
    const command = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
    return command.includes(cluster)
  } catch {
    return false
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
