import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { isStale } from '../age.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'
import { readEnvelope, type SnsEnvelope, signedText } from './envelope.ts'
import { isPinnedCertificate, readSubscribeUrl } from './pinned-urls.ts'

/** Fetches a URL of Amazon, without following redirects, and returns the PEM. */
export type FetchCertificate = (url: string) => Promise<string>

const refused = (reason: 'missing' | 'signature' | 'stale' | 'topic'): Verification => ({
  outcome: 'refused',
  reason,
})

/** A region has one certificate at a time. */
const MAX_CERTIFICATES = 50

/**
 * Verifies what SNS posts. The topic, the time and both URLs are checked before anything is fetched. A hook with a
 * secret, which is a PEM, is a trial: its key is used and nothing is fetched.
 *
 * Not by sns-validator or sns-payload-validator: both fetch by themselves, the first without any limit of size or time.
 */
export function createSnsVerifier(fetchCertificate: FetchCertificate) {
  // A certificate never changes under its URL. Failures are not kept.
  const keys = new LRUCache<string, KeyObject>({
    max: MAX_CERTIFICATES,
    fetchMethod: async (url) => readKey(await fetchCertificate(url)),
  })
  return async (request: HookRequest, { secrets, topicArns }: HookCredentials): Promise<Verification> => {
    const envelope = readEnvelope(request.body)
    if (envelope === undefined) return refused('missing')
    if (!topicArns.includes(envelope.TopicArn)) return refused('topic')
    if (!isPinnedCertificate(envelope) || !hasPinnedSubscription(envelope)) return refused('signature')
    if (isStale(Date.parse(envelope.Timestamp), request.now)) return refused('stale')
    if (secrets.length > 0)
      return secrets.some((pem) => isSignedByTrial(envelope, pem))
        ? { outcome: 'verified' }
        : refused('signature')
    let key: KeyObject | undefined
    try {
      key = await keys.fetch(envelope.SigningCertURL)
    } catch (error) {
      const reason = `The certificate of SNS could not be fetched: ${error instanceof Error ? error.message : error}`
      return { outcome: 'unavailable', reason }
    }
    return key !== undefined && isSigned(envelope, key) ? { outcome: 'verified' } : refused('signature')
  }
}

const hasPinnedSubscription = (envelope: SnsEnvelope): boolean =>
  envelope.Type === 'Notification' || readSubscribeUrl(envelope) !== undefined

/** @throws when the PEM holds no RSA key. */
function readKey(pem: string): KeyObject {
  const key = createPublicKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error('It holds no RSA key.')
  return key
}

function isSignedByTrial(envelope: SnsEnvelope, pem: string): boolean {
  try {
    return isSigned(envelope, readKey(pem))
  } catch {
    return false
  }
}

function isSigned(envelope: SnsEnvelope, key: KeyObject): boolean {
  const algorithm = envelope.SignatureVersion === '1' ? 'sha1' : 'sha256'
  return verify(algorithm, Buffer.from(signedText(envelope)), key, Buffer.from(envelope.Signature, 'base64'))
}
