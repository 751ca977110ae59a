import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { findPostgresUser } from './postgres-user.ts'

const releaser = useReleaser()
const isRoot = userInfo().uid === 0

/** A folder that only its owner may enter, with a program that prints the user who runs it. */
async function makeCheckout(programMode = 0o755) {
  const dataDir = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-user-')), (path) =>
    rm(path, { recursive: true }),
  )
  const program = join(dataDir, 'program')
  await writeFile(program, '#!/bin/sh\nexec id -u\n')
  await chmod(program, programMode)
  return { dataDir, program, cluster: join(dataDir, 'cluster') }
}

/** Returns the id of the user that the program runs as. */
function runProgram(user: Awaited<ReturnType<typeof findPostgresUser>>, program: string): number {
  const { command, args, ...as } = user.run(program, [])
  return Number(execFileSync(command, args, { ...as, cwd: '/', encoding: 'utf8' }))
}

test.for([0o755, 0o700])(
  'PostgreSQL runs in a private folder, with programs of mode %o, and never as root',
  async (mode) => {
    const paths = await makeCheckout(mode)
    const user = await findPostgresUser(paths)
    expect(user.owner === undefined).toBe(!isRoot)
    expect(runProgram(user, paths.program)).toBe(user.owner?.uid ?? userInfo().uid)
    expect(runProgram(user, paths.program)).not.toBe(0)
  },
)

test('PostgreSQL runs as the owner of an existing cluster', async () => {
  const paths = await makeCheckout()
  await mkdir(paths.cluster)
  const [uid, gid] = isRoot ? [4321, 4321] : [userInfo().uid, userInfo().gid]
  await chown(paths.cluster, uid, gid)
  expect(runProgram(await findPostgresUser(paths), paths.program)).toBe(uid)
})

test('root without a way to run PostgreSQL is told what to do', async () => {
  const paths = { ...(await makeCheckout()), program: '/nowhere/initdb' }
  const found = findPostgresUser(paths)
  if (isRoot)
    await expect(found).rejects.toThrow(
      /^PostgreSQL cannot run as root, and .* Installing setpriv .* DATABASE_URL/,
    )
  // Other users run PostgreSQL as themselves, whether they can reach it or not.
  else await expect(found).resolves.toMatchObject({ owner: undefined })
})
