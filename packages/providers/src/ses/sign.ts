import { generateKeyPairSync, sign } from 'node:crypto'
import { type SnsEnvelope, signedText } from './envelope.ts'

/** Makes the key pair of a trial hook, both as PEM. The public one stands in for Amazon's certificate. */
export function makeSesKeys(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

type WithoutSignature<Envelope> = Envelope extends SnsEnvelope ? Omit<Envelope, 'Signature'> : never

/** Signs as SNS does, by the envelope's SignatureVersion. */
export function signSns<Envelope extends WithoutSignature<SnsEnvelope>>(
  envelope: Envelope,
  privateKey: string,
) {
  const algorithm = envelope.SignatureVersion === '1' ? 'sha1' : 'sha256'
  return {
    ...envelope,
    Signature: sign(algorithm, Buffer.from(signedText(envelope)), privateKey).toString('base64'),
  }
}
