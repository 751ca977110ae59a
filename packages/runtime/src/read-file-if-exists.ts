import { readFileSync } from 'node:fs'

/**
 * Returns the text of a file, or undefined when there is no such file.
 *
 * @throws when the file exists and cannot be read: a caller must not replace it as if it were absent.
 */
export function readFileIfExists(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    // ENOTDIR: a folder of the path is a file.
    if (hasErrorCode(error, 'ENOENT') || hasErrorCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}

/** Tells whether a system call failed with this code, such as `ENOENT`. */
export const hasErrorCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
