import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import { importSigningKeys, type SigningKeys } from './signing-keys.ts'

const RELOAD_INTERVAL_MS = 2_000
/** Shortest time between two reads for an unknown key, in milliseconds: anybody can make up a `kid`. */
const MIN_RELOAD_INTERVAL_MS = 100

/**
 * The keys of JWT_KEYS_FILE, read again every two seconds, so that `tidings keys rotate` needs no restart. An
 * unusable new file leaves the keys as they are.
 */
export class SigningKeysFile implements SigningKeys {
  readonly #path: string
  readonly #log: Logger
  #text: string
  #current: SigningKeys
  #readAtMs = performance.now()
  #lastReload = Promise.resolve()
  #nextReload: Promise<void> | undefined
  #hasWarned = false
  #timer: NodeJS.Timeout | undefined

  /** @throws Error when the file cannot be read or holds no usable key set. */
  static async open(
    path: string,
    log: Logger,
    reloadIntervalMs = RELOAD_INTERVAL_MS,
  ): Promise<SigningKeysFile> {
    const text = await readFile(path, 'utf8')
    const file = new SigningKeysFile(path, log, text, await importSigningKeys(text))
    file.#timer = setInterval(() => void file.#reload(), reloadIntervalMs)
    file.#timer.unref()
    return file
  }

  private constructor(path: string, log: Logger, text: string, keys: SigningKeys) {
    this.#path = path
    this.#log = log
    this.#text = text
    this.#current = keys
  }

  signer() {
    return this.#current.signer()
  }

  verifier(kid: string) {
    return this.#current.verifier(kid)
  }

  /** Reads the file first when the key is unknown. */
  async findVerifier(kid: string) {
    if (this.#current.verifier(kid) === undefined) await this.#reloadSoon()
    return this.#current.verifier(kid)
  }

  publicJwks() {
    return this.#current.publicJwks()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** One read for all callers that arrive before it begins. A later caller may need a key that it missed. */
  #reloadSoon(): Promise<void> {
    const waitMs = Math.max(0, this.#readAtMs + MIN_RELOAD_INTERVAL_MS - performance.now())
    this.#nextReload ??= sleep(waitMs).then(() => {
      this.#nextReload = undefined
      return this.#reload()
    })
    return this.#nextReload
  }

  /** Reloads run one after the other: an older read must not replace a newer one. */
  #reload(): Promise<void> {
    this.#lastReload = this.#lastReload.then(() => this.#readFile())
    return this.#lastReload
  }

  async #readFile() {
    this.#readAtMs = performance.now()
    try {
      const text = await readFile(this.#path, 'utf8')
      if (text === this.#text) return
      this.#current = await importSigningKeys(text)
      this.#text = text
      this.#hasWarned = false
      this.#log.info({ kid: this.#current.signer().kid }, 'signing keys reloaded')
    } catch (error) {
      if (!this.#hasWarned)
        this.#log.warn(
          { error: errorMessage(error) },
          'signing keys not reloaded; the current keys stay in use',
        )
      this.#hasWarned = true
    }
  }
}
