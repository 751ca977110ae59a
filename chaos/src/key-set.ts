import { exportJWK, generateKeyPair } from 'jose'

/** A JWK set with one Ed25519 key, as JWT_KEYS wants it. */
export async function generateKeySet(): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const jwk = await exportJWK(privateKey)
  return JSON.stringify({ keys: [{ ...jwk, kid: 'chaos', alg: 'EdDSA', use: 'sig' }] })
}
