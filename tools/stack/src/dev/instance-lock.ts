import { execFileSync } from 'node:child_process'
import { link, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasErrorCode, readFileIfExists } from '@tidings/runtime/read-file-if-exists'
import { isAlive } from '../servers/is-alive.ts'

/** Another npm start uses the data folder. */
export class AlreadyRunningError extends Error {
  constructor(dataDir: string, pid: number, file: string) {
    super(
      `Tidings already runs on ${dataDir} (process ${pid}). Stop it first, or set DATA_DIR to another folder. If that process is not Tidings, remove ${file}.`,
    )
    this.name = 'AlreadyRunningError'
  }
}

/**
 * Locks a data folder for one npm start, among processes that see each other's ids. Takes over the lock of a process
 * that has ended.
 *
 * @returns a function that releases the lock.
 * @throws AlreadyRunningError
 */
export function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  return acquire(dataDir, join(dataDir, 'stack.pid'))
}

async function acquire(dataDir: string, file: string): Promise<() => Promise<void>> {
  while (!(await create(file))) {
    if (isStale(dataDir, file)) await removeStale(dataDir, file)
  }
  return () => rm(file, { force: true })
}

/** Creates the lock file with our process id in it, in one step. Returns false when the file exists. */
async function create(file: string): Promise<boolean> {
  const unfinished = `${file}.${process.pid}`
  await writeFile(unfinished, String(process.pid))
  try {
    await link(unfinished, file)
    return true
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(unfinished, { force: true })
  }
}

/**
 * Removes a stale lock while holding a second lock. Without it, of two processes that find the lock stale, the slower
 * would remove the new lock of the faster.
 */
async function removeStale(dataDir: string, file: string): Promise<void> {
  const release = await acquire(dataDir, `${file}.takeover`)
  try {
    if (isStale(dataDir, file)) await rm(file, { force: true })
  } finally {
    await release()
  }
}

/** @throws AlreadyRunningError when the lock's process is a running npm start. */
function isStale(dataDir: string, file: string): boolean {
  const text = readFileIfExists(file)
  if (text === undefined) return false
  const pid = Number(text)
  if (pid > 0 && isNpmStart(pid)) throw new AlreadyRunningError(dataDir, pid, file)
  return true
}

/** The program of npm start. No other program holds the lock for long. */
const START_SCRIPT = /\bstart\.ts\b/

/**
 * Tells whether a process is an npm start. Its id may belong to another program by now; in a container even to this
 * process. Returns true when in doubt.
 */
function isNpmStart(pid: number): boolean {
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
