import { chmod, chown, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { errorMessage } from '@tidings/shared/errors'
import { CliError, EXIT } from '../../exit-codes.ts'

/** Only the owner may read the file while it is being written. */
const SECRET_MODE = 0o600

/**
 * Replaces a secret file in one step, so that a running API never reads half of it. The new file gets the owner and
 * mode of the old one: the API may run as another user than the operator. A symbolic link stays a link.
 *
 * @throws CliError when the file cannot be replaced. It is then unchanged.
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  const target = await realpath(file)
  const unfinished = `${target}.new`
  try {
    const { uid, gid, mode } = await stat(target)
    await rm(unfinished, { force: true })
    await writeFile(unfinished, text, { mode: SECRET_MODE, flag: 'wx' })
    await chown(unfinished, uid, gid)
    await chmod(unfinished, mode)
    await rename(unfinished, target)
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined)
    throw new CliError(
      EXIT.failure,
      `${file} is unchanged: a new file with its owner and mode cannot be written there (${errorMessage(error)}).`,
    )
  }
}
