import type { Database } from '@tidings/db/database'
import {
  createServiceKey,
  findServiceKey,
  listServiceKeys,
  revokeServiceKey,
} from '@tidings/db/operators/service-keys'
import type { EnvFileVariables } from '@tidings/runtime/env-file'
import { readFileIfExists } from '@tidings/runtime/read-file-if-exists'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { hashSecret, SCOPES, type Scope } from '@tidings/shared/service-key'
import { generateSigningKey } from '@tidings/shared/signing-keys'

/** What an e-mail or push service and an API gateway need. */
const SERVICE_SCOPES: readonly Scope[] = [
  'status:write:email',
  'status:write:push',
  'status:read',
  'users:read',
]

/**
 * Writes a JWK set of one new key, unless the file exists.
 *
 * @throws when the file exists and cannot be read: a new set would invalidate every token.
 */
export async function ensureJwtKeys(file: string): Promise<void> {
  if (readFileIfExists(file) !== undefined) return
  await writeSecretFile(file, `${JSON.stringify({ keys: [generateSigningKey()] })}\n`)
}

/** Returns the key of the e-mail service, which the file keeps. dev.env does without it: no person needs it. */
export async function ensureEmailServiceKey(db: Database, file: string): Promise<string> {
  const previous = readFileIfExists(file)?.toString().trim()
  const key = await ensureKey(db, 'email-service', ['status:write:email'], previous)
  if (key !== previous) await writeSecretFile(file, `${key}\n`)
  return key
}

export interface DevKeys {
  SERVICE_KEY: string
  OPERATOR_KEY: string
}

/** Returns the keys of the previous start where the database still accepts them, and new ones otherwise. */
export async function ensureServiceKeys(db: Database, previous: EnvFileVariables): Promise<DevKeys> {
  return {
    SERVICE_KEY: await ensureKey(db, 'dev-service', SERVICE_SCOPES, previous.SERVICE_KEY),
    OPERATOR_KEY: await ensureKey(db, 'dev-operator', SCOPES, previous.OPERATOR_KEY),
  }
}

async function ensureKey(
  db: Database,
  name: string,
  scopes: readonly Scope[],
  previous: string | undefined,
): Promise<string> {
  const live = previous && (await findServiceKey(db, hashSecret(previous)))
  if (live && scopes.every((scope) => live.scopes.includes(scope))) return previous
  // A key of an earlier version, which had fewer scopes. Nobody else has it.
  if (live) await revokeServiceKey(db, live.id)
  const created = await createServiceKey(db, name, scopes)
  if (created.outcome === 'created') return created.key
  // The name has as many live keys as it may. Their texts are lost, so nobody can be using them.
  for (const key of await listServiceKeys(db))
    if (key.name === name && key.revokedAt === null) await revokeServiceKey(db, key.id)
  return ensureKey(db, name, scopes, undefined)
}
