import type { Database } from '@tidings/db/database'
import {
  createServiceKey,
  findServiceKey,
  listServiceKeys,
  revokeServiceKey,
} from '@tidings/db/operators/service-keys'
import { hashSecret, SCOPES, type Scope } from '@tidings/shared/service-key'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { readFileIfExists } from '../servers/read-file-if-exists.ts'
import { writeSecretFile } from './env-file.ts'

/** What an e-mail or push service and an API gateway may do. */
const SERVICE_SCOPES: readonly Scope[] = [
  'status:write:email',
  'status:write:push',
  'status:read',
  'users:read',
]

/** Makes the file with a JWK set of one new Ed25519 key, unless it is there. */
export async function ensureJwtKeys(file: string): Promise<void> {
  if ((await readFileIfExists(file)) !== undefined) return
  await writeSecretFile(file, `${JSON.stringify({ keys: [generateSigningKey()] })}\n`)
}

export interface DevKeys {
  SERVICE_KEY: string
  OPERATOR_KEY: string
}

/** The keys of an earlier start, as far as the database still knows them; new ones otherwise. */
export async function ensureServiceKeys(
  db: Database,
  earlier: Record<string, string | undefined>,
): Promise<DevKeys> {
  return {
    SERVICE_KEY: await ensureKey(db, 'dev-service', SERVICE_SCOPES, earlier.SERVICE_KEY),
    OPERATOR_KEY: await ensureKey(db, 'dev-operator', SCOPES, earlier.OPERATOR_KEY),
  }
}

async function ensureKey(
  db: Database,
  name: string,
  scopes: readonly Scope[],
  earlier: string | undefined,
): Promise<string> {
  if (earlier && (await findServiceKey(db, hashSecret(earlier)))) return earlier
  const created = await createServiceKey(db, name, scopes)
  if (created.outcome === 'created') return created.key
  // Nobody has the text of the older ones any more.
  for (const key of await listServiceKeys(db))
    if (key.name === name && key.revokedAt === null) await revokeServiceKey(db, key.id)
  return ensureKey(db, name, scopes, undefined)
}
