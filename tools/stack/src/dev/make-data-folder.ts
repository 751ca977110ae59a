import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartupError } from '@tidings/runtime/env'
import { errorMessage } from '@tidings/shared/errors'

/**
 * Makes a folder in the data directory, and what is above it, unless they are there.
 *
 * @throws StartupError when that cannot be.
 */
export async function makeDataFolder(path: string, dataDir: string): Promise<void> {
  try {
    await makeWithParents(path)
  } catch (error) {
    throw new StartupError(
      `DATA_DIR=${dataDir} cannot be used (${errorMessage(error)}). Set it to a folder that can be written.`,
    )
  }
}

/** Node's own `recursive` tries for ever where a folder that is there says ENOENT, as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  if (await isMade(path)) return
  await makeWithParents(dirname(path))
  // Nothing is missing above any more: whatever it says now is the reason.
  if (!(await isMade(path))) await mkdir(path)
}

/** False when the folder above is missing. */
async function isMade(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EEXIST') return true
    if (code === 'ENOENT' && dirname(path) !== path) return false
    throw error
  }
}
