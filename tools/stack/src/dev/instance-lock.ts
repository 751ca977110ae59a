import { execFileSync } from 'node:child_process'
import { link, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, readFileIfExists } from '../servers/read-file-if-exists.ts'

/** Somebody else runs on this data directory. */
export class AlreadyRunningError extends Error {
  constructor(dataDir: string, pid: number, file: string) {
    super(
      `Tidings already runs on ${dataDir} (process ${pid}). Stop it first, or set DATA_DIR to another folder. If that process is not Tidings, remove ${file}.`,
    )
    this.name = 'AlreadyRunningError'
  }
}

/**
 * Makes sure that only one stack uses a data directory, among processes that see each other's numbers. A lock
 * whose process is gone is taken over.
 *
 * @returns the release.
 * @throws AlreadyRunningError
 */
export function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  return acquire(dataDir, join(dataDir, 'stack.pid'))
}

async function acquire(dataDir: string, file: string): Promise<() => Promise<void>> {
  while (!(await create(file))) {
    if (await isStale(dataDir, file)) await removeStale(dataDir, file)
  }
  return () => rm(file, { force: true })
}

/** Makes a lock of ours, with its number in it from the beginning. False when there is one. */
async function create(file: string): Promise<boolean> {
  const unfinished = `${file}.${process.pid}`
  await writeFile(unfinished, String(process.pid))
  try {
    await link(unfinished, file)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(unfinished, { force: true })
  }
}

/** One at a time: of two that find the same lock stale, the second would remove the first one's new lock. */
async function removeStale(dataDir: string, file: string): Promise<void> {
  const release = await acquire(dataDir, `${file}.takeover`)
  try {
    if (await isStale(dataDir, file)) await rm(file, { force: true })
  } finally {
    await release()
  }
}

/** @throws AlreadyRunningError when its process is a running stack. */
async function isStale(dataDir: string, file: string): Promise<boolean> {
  const text = await readFileIfExists(file)
  if (text === undefined) return false
  const pid = Number(text)
  if (pid > 0 && isStack(pid)) throw new AlreadyRunningError(dataDir, pid, file)
  return true
}

/** The program of npm start, which alone takes this lock for long. */
const START_SCRIPT = /\bstart\.ts\b/

/** The number may have gone to another program since, in a container to this very one. When in doubt it is a stack. */
function isStack(pid: number): boolean {
  if (pid === process.pid || !isAlive(pid)) return false
  try {
    const command = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return START_SCRIPT.test(command)
  } catch {
    return true
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process may not be signalled.
    return !isCode(error, 'ESRCH')
  }
}
