import { open } from 'node:fs/promises'
import { CliError, EXIT } from './exit-codes.ts'

export interface ExportFile {
  /** Resolves when the text is on the disk. */
  write(text: string): Promise<void>
  close(): Promise<void>
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
    throw new CliError(
      EXIT.failure,
      reason === 'EEXIST'
        ? `${path} exists. Choose another name: nothing is overwritten.`
        : `${path} cannot be written (${String(reason)}).`,
    )
  }
}
