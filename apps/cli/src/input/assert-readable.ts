import { access } from 'node:fs/promises'
import { CliError, EXIT } from '../exit-codes.ts'
import { printable } from '../terminal/table.ts'

/** @param given the path as the operator wrote it, for the message. @throws CliError `not found`. */
export async function assertReadable(path: string, given = path): Promise<void> {
  await access(path).catch(() => {
    throw new CliError(EXIT.notFound, `There is no file ${printable(given)} that can be read.`)
  })
}
