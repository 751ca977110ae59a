import { realpath, stat } from 'node:fs/promises'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { errorMessage } from '@tidings/shared/errors'
import { CliError, EXIT } from '../../exit-codes.ts'

/**
 * Replaces a secret file in one step, so that a running API never reads half of it. The new file gets the owner and
 * mode of the old one: the API may run as another user than the operator. A symbolic link stays a link.
 *
 * @throws CliError when the file cannot be replaced. It is then unchanged.
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  try {
    const target = await realpath(file)
    await writeSecretFile(target, text, await stat(target))
  } catch (error) {
    throw new CliError(
      EXIT.failure,
      `${file} is unchanged: a new file with its owner and mode cannot be written there (${errorMessage(error)}).`,
    )
  }
}
