import type { PasswordHash } from '@tidings/accounts/passwords/new-hash'
import { PASSWORD_HASH_FORMAT, readIterations } from '@tidings/shared/password-hash-format'

/** Returns undefined for an unusable password (`!…`) and for every other algorithm: they never log in. */
export function parsePasswordHash(encoded: string): PasswordHash | undefined {
  const iterations = readIterations(encoded)
  if (iterations === undefined) return undefined
  const [, , salt = '', digestText = ''] = PASSWORD_HASH_FORMAT.exec(encoded) ?? []
  return { iterations, salt, digest: Buffer.from(digestText, 'base64') }
}
