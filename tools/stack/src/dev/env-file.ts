import { chmod, rename, writeFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { readFileIfExists } from '../servers/read-file-if-exists.ts'

/** Only the owner may read what holds a secret. */
const SECRET_MODE = 0o600

/** The variables of an env file, or none when there is no such file. */
export async function readEnvFile(file: string): Promise<Record<string, string | undefined>> {
  return parseEnv((await readFileIfExists(file)) ?? '')
}

/** Writes variables so that a shell can source them and Node can read them. */
export async function writeEnvFile(
  file: string,
  comment: string,
  variables: Record<string, string | undefined>,
): Promise<void> {
  const lines = Object.entries(variables)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, value]) => `${name}=${quoteForShell(value)}`)
  await writeSecretFile(file, [`# ${comment}`, ...lines, ''].join('\n'))
}

/** One word for a shell. Node's reader of env files, which knows no escapes, understands all but the oddest. */
export function quoteForShell(value: string): string {
  if (/^[\w./:@%+=,-]*$/.test(value)) return value
  return value.includes("'") ? `"${value.replace(/["$`\\]/g, '\\$&')}"` : `'${value}'`
}

/** Writes a file that only its owner may read: whole or not at all. */
export async function writeSecretFile(file: string, text: string): Promise<void> {
  const unfinished = `${file}.new`
  await writeFile(unfinished, text, { mode: SECRET_MODE })
  await chmod(unfinished, SECRET_MODE)
  await rename(unfinished, file)
}
