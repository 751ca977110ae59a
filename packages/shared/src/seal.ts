import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Names the format, so that a later one can be told from it. */
const FORMAT = 'v1.'
const IV_BYTES = 12
const TAG_BYTES = 16

/** The text was sealed with another key or for another purpose, or was changed. */
export class SealError extends Error {
  constructor() {
    super('The sealed text cannot be opened with this key')
    this.name = 'SealError'
  }
}

/**
 * Encrypts a text with AES-256-GCM.
 *
 * @param key any secret text; the key of the cipher is derived from it.
 * @param purpose what the text is for, such as the id of its row. It cannot be opened for anything else.
 */
export function seal(key: string, purpose: string, text: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', cipherKey(key), iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(purpose))
  const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return FORMAT + Buffer.concat([iv, cipher.getAuthTag(), encrypted]).toString('base64url')
}

/** @throws SealError */
export function unseal(key: string, purpose: string, sealed: string): string {
  const bytes = Buffer.from(sealed.slice(FORMAT.length), 'base64url')
  if (!sealed.startsWith(FORMAT) || bytes.length < IV_BYTES + TAG_BYTES) throw new SealError()
  const iv = bytes.subarray(0, IV_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', cipherKey(key), iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(purpose))
  decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
  try {
    const text = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()])
    return text.toString('utf8')
  } catch {
    throw new SealError()
  }
}

const cipherKey = (key: string) => Buffer.from(hkdfSync('sha256', key, '', 'tidings:seal:v1', 32))
