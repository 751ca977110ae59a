import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import { parseSigningKeySet, type SigningKey } from '@tidings/shared/signing-keys'
import { type CryptoKey, importJWK, type JWK } from 'jose'

/** How soon a changed JWT_KEYS_FILE is noticed. In milliseconds. */
const RELOAD_INTERVAL_MS = 2_000
/** How soon after a look an unknown key makes it look again: anybody can make up a kid. In milliseconds. */
const MIN_RELOAD_INTERVAL_MS = 100

export interface SigningKeys {
  /** The key that signs new tokens. */
  signer(): { kid: string; key: CryptoKey }
  /** The public key with this id, of those known now. */
  verifier(kid: string): CryptoKey | undefined
  /** The same, looking first whether it is new: another replica may sign with it already. */
  findVerifier(kid: string): Promise<CryptoKey | undefined>
  /** What /.well-known/jwks.json shows: public parts only. */
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

export interface SigningKeySource {
  keys: SigningKeys
  close(): void
}

/**
 * Reads the key set from a file and looks every two seconds whether it changed, so that `tidings keys
 * rotate` needs no restart. A file that cannot be read later leaves the keys as they are.
 */
export async function watchSigningKeysFile(path: string, log: Logger): Promise<SigningKeySource> {
  let text = await readFile(path, 'utf8')
  let current = await importSigningKeys(text)
  let complained = false
  let lookedAtMs = performance.now()
  let lastLook = Promise.resolve()
  let nextLook: Promise<void> | undefined

  /** One after the other: what was read first must not replace what was read last. */
  function look(): Promise<void> {
    lastLook = lastLook.then(reload)
    return lastLook
  }

  /** One look for all who ask before it begins. Who asks later may know of a key that it has missed. */
  function lookSoon(): Promise<void> {
    const waitMs = Math.max(0, lookedAtMs + MIN_RELOAD_INTERVAL_MS - performance.now())
    nextLook ??= sleep(waitMs).then(() => {
      nextLook = undefined
      return look()
    })
    return nextLook
  }

  async function reload() {
    lookedAtMs = performance.now()
    try {
      const found = await readFile(path, 'utf8')
      if (found === text) return
      current = await importSigningKeys(found)
      text = found
      complained = false
      log.info({ kid: current.signer().kid }, 'signing keys reloaded')
    } catch (error) {
      if (!complained)
        log.warn({ error: errorMessage(error) }, 'signing keys not reloaded; the old ones stay')
      complained = true
    }
  }
  const timer = setInterval(() => void look(), RELOAD_INTERVAL_MS)
  timer.unref()
  return {
    keys: {
      signer: () => current.signer(),
      verifier: (kid) => current.verifier(kid),
      async findVerifier(kid) {
        if (current.verifier(kid) === undefined) await lookSoon()
        return current.verifier(kid)
      },
      publicJwks: () => current.publicJwks(),
    },
    close: () => clearInterval(timer),
  }
}
