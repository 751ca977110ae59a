import { parseEnv } from 'node:util'
import { readFileIfExists } from './read-file-if-exists.ts'
import { writeSecretFile } from './secret-file.ts'

/** Variables by name; an absent one is undefined. */
export type EnvFileVariables = Readonly<Record<string, string | undefined>>

/**
 * Reads NAME=value lines, with or without `export`, as a shell could source them. Returns no variables when there is no such file.
 *
 * @throws when the file exists and cannot be read.
 */
export const readEnvFile = (file: string): EnvFileVariables => parseEnv(readFileIfExists(file) ?? '')

/**
 * Writes variables so that a shell that sources the file hands them to its commands, and `readEnvFile` and
 * `node --env-file` can read them. Omits undefined values.
 */
export async function writeEnvFile(
  file: string,
  comment: string,
  variables: EnvFileVariables,
): Promise<void> {
  const lines = Object.entries(variables).flatMap(([name, value]) =>
    value === undefined ? [] : [`export ${name}=${quoteForShell(value)}`],
  )
  await writeSecretFile(file, [`# ${comment}`, ...lines, ''].join('\n'))
}

/**
 * Quotes a value as one word of a POSIX shell. Node's reader knows no escapes inside quotes, so a value that holds
 * both `'` and one of `"$\`` reads differently there.
 */
export function quoteForShell(value: string): string {
  if (/^[\w./:@%+=,-]*$/.test(value)) return value
  return value.includes("'") ? `"${value.replace(/["$`\\]/g, '\\$&')}"` : `'${value}'`
}
