import { parseSigningKeySet, type SigningKey } from '@tidings/shared/signing-keys'
import { type CryptoKey, importJWK, type JWK } from 'jose'

export interface SigningKeys {
  /** The key that signs new tokens. */
  signer(): { kid: string; key: CryptoKey }
  /** The public key with this id, if it is loaded. */
  verifier(kid: string): CryptoKey | undefined
  /** Like `verifier`, but looks for new keys first: another replica may sign with one already. */
  findVerifier(kid: string): Promise<CryptoKey | undefined>
  /** The body of /.well-known/jwks.json: public parts only. */
  publicJwks(): { keys: JWK[] }
}

/** @throws Error when the text is not a usable JWK set. */
export async function importSigningKeys(text: string): Promise<SigningKeys> {
  const { keys } = parseSigningKeySet(text)
  const verifiers = new Map<string, CryptoKey>()
  for (const key of keys) verifiers.set(key.kid, await importKey(toPublic(key)))
  const [first] = keys as [SigningKey]
  const signer = { kid: first.kid, key: await importKey({ ...first }) }
  const jwks = { keys: keys.map(toPublic) }
  return {
    signer: () => signer,
    verifier: (kid) => verifiers.get(kid),
    findVerifier: async (kid) => verifiers.get(kid),
    publicJwks: () => jwks,
  }
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, 'EdDSA')
  if (key instanceof Uint8Array) throw new Error('is not an asymmetric key')
  return key
}

function toPublic({ d: _private, ...key }: SigningKey): JWK {
  return key
}
