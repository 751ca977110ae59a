import { createHash, generateKeyPairSync } from 'node:crypto'
import { z } from 'zod'

const coordinate = z.string().regex(/^[\w-]{43}$/, 'needs 32 bytes in base64url')

const named = {
  kid: z.string().min(1).max(128),
  use: z.literal('sig').default('sig'),
}

/** An Ed25519 private key as a JWK (RFC 8037). */
const ed25519KeySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: coordinate,
  d: coordinate,
  alg: z.literal('EdDSA').default('EdDSA'),
  ...named,
})

/** A P-256 private key as a JWK (RFC 7518, section 6.2). */
const p256KeySchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: coordinate,
  y: coordinate,
  d: coordinate,
  alg: z.literal('ES256').default('ES256'),
  ...named,
})

const signingKeySchema = z.discriminatedUnion('kty', [ed25519KeySchema, p256KeySchema])
export type SigningKey = z.infer<typeof signingKeySchema>

/** What a signing key signs with. Each key has one algorithm, and its tokens are verified with no other. */
export type SigningAlgorithm = SigningKey['alg']
export const SIGNING_ALGORITHMS = ['EdDSA', 'ES256'] as const satisfies readonly SigningAlgorithm[]
export const DEFAULT_SIGNING_ALGORITHM: SigningAlgorithm = 'EdDSA'

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
  throw new Error(`is not a usable JWK set of Ed25519 or P-256 keys (${problems.join('; ')})`)
}

/** Makes a key. Its id is the RFC 7638 thumbprint, so two keys never share an id. */
export function generateSigningKey(alg: SigningAlgorithm = DEFAULT_SIGNING_ALGORITHM): SigningKey {
  return alg === 'EdDSA' ? generateEd25519Key() : generateP256Key()
}

function generateEd25519Key(): SigningKey {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  return ed25519KeySchema.parse({
    kty: 'OKP',
    crv: 'Ed25519',
    x,
    d,
    kid: thumbprint({ crv: 'Ed25519', kty: 'OKP', x }),
  })
}

function generateP256Key(): SigningKey {
  const { x, y, d } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  return p256KeySchema.parse({
    kty: 'EC',
    crv: 'P-256',
    x,
    y,
    d,
    kid: thumbprint({ crv: 'P-256', kty: 'EC', x, y }),
  })
}

/** @param members the required members of the public key, in the order of their names. */
const thumbprint = (members: Record<string, string | undefined>) =>
  createHash('sha256').update(JSON.stringify(members)).digest('base64url')
