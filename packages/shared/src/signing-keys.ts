import { createHash, generateKeyPairSync } from 'node:crypto'
import { z } from 'zod'

const coordinate = z.string().regex(/^[\w-]{43}$/, 'needs 32 bytes in base64url')

/** An Ed25519 private key as a JWK (RFC 8037). */
export const signingKeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: coordinate,
  d: coordinate,
  kid: z.string().min(1).max(128),
  alg: z.literal('EdDSA').default('EdDSA'),
  use: z.literal('sig').default('sig'),
})
export type SigningKey = z.infer<typeof signingKeySchema>

/** More in a set are refused. */
export const MAX_SIGNING_KEYS = 16

/** A JWK set: the first key signs, all verify. */
export const signingKeySetSchema = z.object({
  keys: z
    .array(signingKeySchema)
    .min(1)
    .max(MAX_SIGNING_KEYS)
    .refine((keys) => new Set(keys.map((key) => key.kid)).size === keys.length, 'each key needs its own kid'),
})
export type SigningKeySet = z.infer<typeof signingKeySetSchema>

/**
 * Reads a JWK set from its JSON text.
 *
 * @throws Error that says what is wrong and quotes nothing.
 */
export function parseSigningKeySet(text: string): SigningKeySet {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new Error('is not JSON; make a key set with `tidings keys generate`')
  }
  const parsed = signingKeySetSchema.safeParse(json, { reportInput: false })
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'set'}: ${issue.message}`)
  throw new Error(`is not a usable Ed25519 JWK set (${problems.join('; ')})`)
}

/** A new key; its id is the RFC 7638 thumbprint, so two keys never share one. */
export function generateSigningKey(): SigningKey {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  if (x === undefined || d === undefined) throw new Error('The platform made an incomplete key')
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url')
  return { kty: 'OKP', crv: 'Ed25519', x, d, kid, alg: 'EdDSA', use: 'sig' }
}
