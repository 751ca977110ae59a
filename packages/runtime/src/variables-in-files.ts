import { readFileSync } from 'node:fs'

/** Secrets that a file may hold instead, whose path is in the variable with `_FILE` after its name. */
const VARIABLES_IN_FILES = [
  'DATABASE_URL',
  'DATABASE_DIRECT_URL',
  'DATABASE_READ_URL',
  'REDIS_URL',
  'RECIPIENT_KEY',
  'HOOK_SECRETS_KEY',
]

export interface ReadVariables {
  /** The variables, with the secrets in place of their paths. */
  variables: NodeJS.ProcessEnv
  /** Files that cannot be read, and secrets that are set in both ways. Never shows a secret. */
  problems: string[]
}

/** Reads the secrets that are in files, without the white space around them. */
export function readVariablesInFiles(given: NodeJS.ProcessEnv): ReadVariables {
  const variables = { ...given }
  const problems: string[] = []
  for (const name of VARIABLES_IN_FILES) {
    const path = given[`${name}_FILE`]
    if (path === undefined) continue
    delete variables[`${name}_FILE`]
    if (given[name] !== undefined) {
      problems.push(`${name}_FILE: is set beside ${name}: set one of them`)
      continue
    }
    try {
      variables[name] = readFileSync(path, 'utf8').trim()
    } catch (error) {
      const reason = error instanceof Error && 'code' in error ? error.code : error
      problems.push(`${name}_FILE: cannot read the file (${reason})`)
    }
  }
  return { variables, problems }
}
