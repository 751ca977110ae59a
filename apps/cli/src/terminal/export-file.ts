import { lstat, open } from 'node:fs/promises'
import { CliError, EXIT } from '../exit-codes.ts'

interface ExportFile {
  /** Resolves when the text is on the disk. */
  write(text: string): Promise<void>
  close(): Promise<void>
}

const alreadyExists = (path: string) =>
  new CliError(EXIT.failure, `${path} exists. Choose another name: nothing is overwritten.`)

/**
 * Checks before the first question that the new file does not exist yet. Only openExportFile makes sure of it.
 *
 * @throws CliError when it exists.
 */
export async function assertNoFile(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found !== undefined) throw alreadyExists(path)
}

/**
 * Creates a file that only its owner can read, because it holds events unmasked.
 *
 * @throws CliError when the file exists: an earlier export is never overwritten.
 */
export async function openExportFile(path: string): Promise<ExportFile> {
  try {
    const file = await open(path, 'wx', 0o600)
    return {
      async write(text) {
        await file.appendFile(text)
        await file.sync()
      },
      close: () => file.close(),
    }
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : undefined
    if (reason === 'EEXIST') throw alreadyExists(path)
    throw new CliError(EXIT.failure, `${path} cannot be written (${String(reason)}).`)
  }
}
