import { execFileSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { userInfo } from 'node:os'

interface Owner {
  uid: number
  gid: number
}

/** The user that runs the programs of PostgreSQL, which refuses to run as root. */
export interface PostgresUser {
  /** The owner of its files; undefined when that is the user of this process. */
  owner: Owner | undefined
  /** Returns how to start a program as that user. */
  run(program: string, args: readonly string[]): RunAs
}

interface RunAs extends Partial<Owner> {
  command: string
  args: string[]
}

const ADVICE = 'Run this as another user than root, or set DATABASE_URL to a PostgreSQL of your own.'

/** initdb requires a user with a name; every usual system has one of these. */
const SYSTEM_USERS = ['postgres', 'nobody', 'daemon']

/**
 * Rights that let a user into folders of root, such as a checkout in /root. The first is enough, unless files were
 * installed with a strict umask or a container withholds the right.
 */
const CAPABILITIES = ['dac_read_search', 'dac_override']

/**
 * Finds the user to run PostgreSQL as. For root that is the owner of the existing cluster, or a system user, with the
 * fewest rights that let it reach `program` and `dataDir`. Any other user runs PostgreSQL without a change.
 *
 * @throws when root has no way to run PostgreSQL; the message says what to do.
 */
export async function findPostgresUser(paths: {
  program: string
  dataDir: string
  cluster: string
}): Promise<PostgresUser> {
  if (userInfo().uid !== 0)
    return { owner: undefined, run: (command, args) => ({ command, args: [...args] }) }
  const owner = (await ownerOf(paths.cluster)) ?? findSystemUser()
  const run = waysToRunAs(owner).find((way) => canReach(way, paths))
  if (run) return { owner, run }
  throw new Error(
    `PostgreSQL cannot run as root, and the user it would run as (${owner.uid}) may not enter ${paths.dataDir} or the folder of its programs. ` +
      `Installing setpriv (package util-linux), or moving the checkout out of folders that only root may enter, solves it. ${ADVICE}`,
  )
}

function waysToRunAs({ uid, gid }: Owner): PostgresUser['run'][] {
  const withCapability = (name: string) => [
    // Otherwise access(), with which PostgreSQL checks its own programs, ignores capabilities.
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

/** Tries it, because only the system knows its access lists and what a container forbids. */
function canReach(run: PostgresUser['run'], paths: { program: string; dataDir: string }): boolean {
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

/** Returns undefined when there is no cluster yet, or when it belongs to root. */
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
      // There is no such user: try the next.
    }
  }
  throw new Error(
    `PostgreSQL cannot run as root, and there is no user ${SYSTEM_USERS.join(', ')} to run it as. ${ADVICE}`,
  )
}
