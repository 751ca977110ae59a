import { hash, randomBytes } from 'node:crypto'
import { z } from 'zod'

export const SCOPES = [
  'status:write:email',
  'status:write:push',
  'status:read',
  'users:read',
  'dlq:read',
  'dlq:write',
] as const
export const scopeSchema = z.enum(SCOPES)
export type Scope = z.infer<typeof scopeSchema>

/** What a service key looks like; the prefix lets secret scanners find a leaked one. */
export const SERVICE_KEY_PREFIX = 'tdk_'

/** A new key of 256 random bits. Only its digest is stored. */
export function generateServiceKey(): string {
  return `${SERVICE_KEY_PREFIX}${randomBytes(32).toString('base64url')}`
}

/** SHA-256: enough for a secret that nobody can guess, and fast enough for every request. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/** What may be shown of a key to tell it from another. */
export function displayPrefix(key: string): string {
  return key.slice(0, 12)
}
