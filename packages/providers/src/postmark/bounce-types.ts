import type { Status } from '@tidings/shared/status-event'
import type { ErrorParts } from '../report.ts'

export interface BounceMeaning {
  status: Status
  class?: ErrorParts['class']
}

const PERMANENT: BounceMeaning = { status: 'bounced', class: 'permanent' }
const TRANSIENT: BounceMeaning = { status: 'bounced', class: 'transient' }
const CONFIG: BounceMeaning = { status: 'failed', class: 'config' }
const SUPPRESSED: BounceMeaning = { status: 'suppressed', class: 'permanent' }

/**
 * What each bounce type means. Types that are missing here are answers of a person or a program, which say nothing
 * about the delivery: AutoResponder, AddressChange, Subscribe, OpenRelayTest, InboundError.
 *
 * https://postmarkapp.com/developer/api/bounce-api#bounce-types
 */
const MEANINGS: Readonly<Record<string, BounceMeaning>> = {
  HardBounce: PERMANENT,
  BadEmailAddress: PERMANENT,
  SoftBounce: TRANSIENT,
  DnsError: TRANSIENT,
  SpamNotification: TRANSIENT,
  VirusNotification: TRANSIENT,
  Blocked: TRANSIENT,
  Unknown: TRANSIENT,
  // Postmark gave up, or will deliver: delivered then outranks it.
  Transient: TRANSIENT,
  ChallengeVerification: { status: 'deferred', class: 'transient' },
  SMTPApiError: CONFIG,
  DMARCPolicy: CONFIG,
  TemplateRenderingFailed: CONFIG,
  ManuallyDeactivated: SUPPRESSED,
  Unconfirmed: SUPPRESSED,
  SpamComplaint: { status: 'complained' },
  Unsubscribe: { status: 'unsubscribed' },
}

/** Undefined for a type without a status, or one that is not known. */
export const findBounceMeaning = (type: string): BounceMeaning | undefined =>
  Object.hasOwn(MEANINGS, type) ? MEANINGS[type] : undefined
