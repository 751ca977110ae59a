import { hash, randomBytes } from 'node:crypto'

export const SCOPES = [
  'status:write:email',
  'status:write:push',
  'status:read',
  'users:read',
  'dlq:read',
  'dlq:write',
  'feedback:write',
  'suppressions:read',
  'suppressions:write',
  'stats:read',
] as const
export type Scope = (typeof SCOPES)[number]

/** Starts every service key, so that secret scanners find a leaked one. */
export const SERVICE_KEY_PREFIX = 'tdk_'

/** Makes a key of 256 random bits. Only its digest is stored. */
export function generateServiceKey(): string {
  return `${SERVICE_KEY_PREFIX}${randomBytes(32).toString('base64url')}`
}

/** Hashes a secret of 256 random bits with SHA-256: nobody can guess it, so a slow hash is not needed. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/** Returns the part of a key that may be shown: enough to tell two keys apart. */
export function displayPrefix(key: string): string {
  return key.slice(0, 12)
}
