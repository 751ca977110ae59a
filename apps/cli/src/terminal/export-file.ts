import { lstat, open } from 'node:fs/promises'
import { CliError, EXIT } from '../exit-codes.ts'

export interface ExportFile {
  /** Resolves when the text is on the disk. */
  write(text: string): Promise<void>
  close(): Promise<void>
}

const isThere = (path: string) =>
  new CliError(EXIT.failure, `${path} exists. Choose another name: nothing is overwritten.`)

/**
 * Before somebody is asked: whether there is something already where a new file is to be. Only openExportFile makes sure.
 *
 * @throws CliError when there is.
 */
export async function assertNoFile(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found !== undefined) throw isThere(path)
}

/**
 * A new file that only its owner can read: it holds events in full.
 *
 * @throws CliError when it exists already: an earlier export is never overwritten.
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
    if (reason === 'EEXIST') throw isThere(path)
    throw new CliError(EXIT.failure, `${path} cannot be written (${String(reason)}).`)
  }
}
