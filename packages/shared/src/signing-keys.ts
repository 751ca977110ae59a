import { createHash, generateKeyPairSync } from 'node:crypto'
import { z } from 'zod'

const coordinate = z.string().regex(/^[\w-]{43}$/, 'needs 32 bytes in base64url')

/** An Ed25519 private key as a JWK (RFC 8037). */
const signingKeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: coordinate,
  d: coordinate,
  kid: z.string().min(1).max(128),
  alg: z.literal('EdDSA').default('EdDSA'),
  use: z.literal('sig').default('sig'),
})
export type SigningKey = z.infer<typeof signingKeySchema>

/** A larger set is refused. */
export const MAX_SIGNING_KEYS = 16

/** A JWK set. The first key signs, and all keys verify. */
const signingKeySetSchema = z.object({
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
 * @throws Error with a message that completes "JWT_KEYS …" and quotes nothing of the text.
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

/** Makes a key. Its id is the RFC 7638 thumbprint, so two keys never share an id. */
export function generateSigningKey(): SigningKey {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  if (x === undefined || d === undefined) throw new Error('Node generated an incomplete key')
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url')
  return { kty: 'OKP', crv: 'Ed25519', x, d, kid, alg: 'EdDSA', use: 'sig' }
}
