import { generateKeyPairSync, sign } from 'node:crypto'
import { SIGNATURE_HEADER, TIMESTAMP_HEADER } from './verify.ts'

/** Makes the key pair of a trial hook: the public key as SendGrid shows its own, and the private one as PEM. */
export function makeSendgridKeys(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** The headers with which SendGrid would send the body. */
export function signSendgrid(body: Buffer, privateKey: string, now: Date): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const signed = Buffer.concat([Buffer.from(timestamp), body])
  return {
    [SIGNATURE_HEADER]: sign('sha256', signed, { key: privateKey, dsaEncoding: 'der' }).toString('base64'),
    [TIMESTAMP_HEADER]: timestamp,
  }
}
