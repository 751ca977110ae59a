import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartupError } from '@tidings/runtime/env'
import { hasErrorCode } from '@tidings/runtime/read-file-if-exists'
import { errorMessage } from '@tidings/shared/errors'

/**
 * Creates a folder of the data directory and its parents, unless they exist.
 *
 * @throws StartupError when that is impossible.
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

/** Node's own `recursive` option loops forever where an existing parent reports ENOENT, as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  if (await makeFolder(path)) return
  await makeWithParents(dirname(path))
  // Every parent exists now, so an ENOENT from here on is the reason for the failure.
  if (!(await makeFolder(path))) await mkdir(path)
}

/** Returns true when the folder exists afterwards, false when its parent is missing. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return true
    if (hasErrorCode(error, 'ENOENT') && dirname(path) !== path) return false
    throw error
  }
}
