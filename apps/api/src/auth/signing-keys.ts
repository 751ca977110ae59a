import { parseSigningKeySet, type SigningAlgorithm, type SigningKey } from '@tidings/shared/signing-keys'
import { type CryptoKey, importJWK, type JWK } from 'jose'

/** A key and the one algorithm that it is used with. */
interface PinnedKey {
  alg: SigningAlgorithm
  key: CryptoKey
}

export interface SigningKeys {
  /** The key that signs new tokens. */
  signer(): PinnedKey & { kid: string }
  /** The public key with this id, if it is loaded. */
  verifier(kid: string): PinnedKey | undefined
  /** Like `verifier`, but looks for new keys first: another replica may sign with one already. */
  findVerifier(kid: string): Promise<PinnedKey | undefined>
  /** The body of /.well-known/jwks.json: public parts only. */
  publicJwks(): { keys: JWK[] }
}

/** @throws Error when the text is not a usable JWK set. */
export async function importSigningKeys(text: string): Promise<SigningKeys> {
  const { keys } = parseSigningKeySet(text)
  const verifiers = new Map<string, PinnedKey>()
  for (const key of keys) verifiers.set(key.kid, await importKey(key, toPublic(key)))
  const [first] = keys as [SigningKey]
  const signer = { kid: first.kid, ...(await importKey(first, { ...first })) }
  const jwks = { keys: keys.map(toPublic) }
  return {
    signer: () => signer,
    verifier: (kid) => verifiers.get(kid),
    findVerifier: async (kid) => verifiers.get(kid),
    publicJwks: () => jwks,
  }
}

async function importKey({ alg }: SigningKey, jwk: JWK): Promise<PinnedKey> {
  const key = await importJWK(jwk, alg)
  if (key instanceof Uint8Array) throw new Error('is not an asymmetric key')
  return { alg, key }
}

function toPublic({ d: _private, ...key }: SigningKey): JWK {
  return key
}
