import { execFileSync } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Somebody else runs on this data directory. */
export class AlreadyRunningError extends Error {
  constructor(dataDir: string, pid: number) {
    super(
      `Tidings already runs on ${dataDir} (process ${pid}). Stop it first, or set DATA_DIR to another folder.`,
    )
    this.name = 'AlreadyRunningError'
  }
}

/**
 * Makes sure that only one stack uses a data directory. A lock whose process is gone is taken over.
 *
 * @returns the release.
 * @throws AlreadyRunningError
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const file = join(dataDir, 'stack.pid')
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' })
      return () => rm(file, { force: true })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const pid = Number(await readFile(file, 'utf8').catch(() => ''))
    if (pid && isStack(pid)) throw new AlreadyRunningError(dataDir, pid)
    await rm(file, { force: true })
  }
}

/** The number may have gone to another program since. */
function isStack(pid: number): boolean {
  try {
    const command = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
    return command.includes('node')
  } catch {
    return false
  }
}
