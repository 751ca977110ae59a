import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { isStale } from '../age.ts'
import { readHeader } from '../header.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'

export const SIGNATURE_HEADER = 'x-twilio-email-event-webhook-signature'
export const TIMESTAMP_HEADER = 'x-twilio-email-event-webhook-timestamp'

/**
 * Verifies the signed event webhook: ECDSA on P-256 with SHA-256 over the timestamp's digits and the raw body.
 *
 * By node:crypto and not by @sendgrid/eventwebhook, whose starkbank-ecdsa computes the curve in JavaScript and has
 * accepted forged signatures before (CVE-2021-43570).
 *
 * https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
 */
export function verifySendgrid(request: HookRequest, { secrets }: HookCredentials): Verification {
  const signature = readHeader(request, SIGNATURE_HEADER)
  const timestamp = readHeader(request, TIMESTAMP_HEADER)
  if (!signature || !timestamp) return { outcome: 'refused', reason: 'missing' }
  const signed = Buffer.concat([Buffer.from(timestamp), request.body])
  const bytes = Buffer.from(signature, 'base64')
  if (!secrets.some((publicKey) => isSigned(signed, bytes, publicKey)))
    return { outcome: 'refused', reason: 'signature' }
  const signedAt = /^\d{1,13}$/.test(timestamp) ? Number(timestamp) * 1000 : Number.NaN
  return isStale(signedAt, request.now) ? { outcome: 'refused', reason: 'stale' } : { outcome: 'verified' }
}

function isSigned(data: Buffer, signature: Buffer, publicKey: string): boolean {
  const key = readSendgridKey(publicKey)
  if (key === undefined) return false
  try {
    return verify('sha256', data, { key, dsaEncoding: 'der' }, signature)
  } catch {
    return false
  }
}

/**
 * Reads the verification key that SendGrid shows: base64 of a P-256 key, with or without the lines of a PEM.
 *
 * @returns undefined for anything else, also for keys of other kinds.
 */
export function readSendgridKey(text: string): KeyObject | undefined {
  const base64 = text.replaceAll(/-----(BEGIN|END) PUBLIC KEY-----|\s/g, '')
  try {
    const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' })
    return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined
  } catch {
    return undefined
  }
}
