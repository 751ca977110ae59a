import { execFileSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'

export interface Owner {
  uid: number
  gid: number
}

/** As whom the programs of PostgreSQL run, since it refuses to run as root. */
export interface PostgresUser {
  /** Whom its files belong to; undefined: to us. */
  owner: Owner | undefined
  /** How to start a program as that user. */
  run(program: string, args: readonly string[]): RunAs
}

interface RunAs extends Partial<Owner> {
  command: string
  args: string[]
}

/** There is no way to run PostgreSQL here. The message says what to do. */
export class PostgresUserError extends Error {
  constructor(problem: string) {
    super(`${problem} Run this as another user than root, or set DATABASE_URL to a PostgreSQL of your own.`)
    this.name = 'PostgresUserError'
  }
}

/** initdb wants a name for the user it runs as; one of these is known on every usual system. */
const SYSTEM_USERS = ['postgres', 'nobody', 'daemon']

/**
 * What lets a user into folders of root, such as a checkout in /root. The right to look is enough, unless
 * files were installed with a strict umask, or a container withholds it.
 */
const CAPABILITIES = ['dac_read_search', 'dac_override']

/**
 * As root: the user that an existing cluster belongs to, or a system user, with no more rights than it takes
 * to get at `program` and into `dataDir`. Everybody else runs PostgreSQL as themselves.
 *
 * @throws PostgresUserError
 */
export async function findPostgresUser(paths: {
  program: string
  dataDir: string
  cluster: string
}): Promise<PostgresUser> {
  if (userInfo().uid !== 0)
    return { owner: undefined, run: (command, args) => ({ command, args: [...args] }) }
  const owner = (await ownerOf(paths.cluster)) ?? findSystemUser()
  const run = waysToRunAs(owner).find((way) => getsThrough(way, paths))
  if (run) return { owner, run }
  throw new PostgresUserError(
    `PostgreSQL cannot run as root, and the user it would run as (${owner.uid}) may not enter ${paths.dataDir} or the folder of its programs. ` +
      'Installing setpriv (package util-linux), or moving the checkout out of folders that only root may enter, solves it.',
  )
}

function waysToRunAs({ uid, gid }: Owner): PostgresUser['run'][] {
  const withCapability = (name: string) => [
    // Without this, access(), which PostgreSQL asks about its own programs, ignores capabilities.
    '--securebits=+no_setuid_fixup',
    ...[`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'],
    ...['--inh-caps', '--ambient-caps', '--bounding-set'].map((set) => `${set}=-all,+${name}`),
  ]
  return [
    (command, args) => ({ command, args: [...args], uid, gid }),
    ...CAPABILITIES.map((name): PostgresUser['run'] => (program, args) => ({
      command: 'setpriv',
      args: [...withCapability(name), program, ...args],
    })),
  ]
}

/** Tries it: only the system knows about access lists, and what a container forbids. */
function getsThrough(run: PostgresUser['run'], paths: { program: string; dataDir: string }): boolean {
  const script = 'cd -- "$1" && exec "$2" --version'
  const { command, args, uid, gid } = run('/bin/sh', ['-c', script, 'sh', paths.dataDir, paths.program])
  try {
    const user = uid === undefined || gid === undefined ? {} : { uid, gid }
    execFileSync(command, args, { cwd: '/', stdio: 'ignore', ...user })
    return true
  } catch {
    return false
  }
}

/** Root never owns a cluster; a folder that is not there has no owner. */
async function ownerOf(cluster: string): Promise<Owner | undefined> {
  const found = await stat(cluster).catch(() => undefined)
  return found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : undefined
}

function findSystemUser(): Owner {
  for (const name of SYSTEM_USERS) {
    try {
      const read = (flag: string) =>
        Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: read('-u'), gid: read('-g') }
    } catch {
      // No such user: the next one.
    }
  }
  throw new PostgresUserError(
    `PostgreSQL cannot run as root, and there is no user ${SYSTEM_USERS.join(', ')} to run it as.`,
  )
}
