import type { NotificationType, StatusReport } from '@tidings/shared/status-event'

/** The providers that report by themselves. A name is also the path of their hooks and the `provider` of their events. */
export const PROVIDERS = ['sendgrid', 'ses', 'postmark', 'mailgun', 'resend', 'twilio'] as const
export type Provider = (typeof PROVIDERS)[number]

/** A report of a provider. It names a notification only when the sender put its id into the message. */
export type ProviderReport = Omit<StatusReport, 'notification_id'> & { notification_id?: string | undefined }

/**
 * What became of one event of a payload:
 *
 * - `report`: it has a status.
 * - `ignored`: an event type without a status, or one that is not known yet.
 * - `invalid`: it lacks what its type requires. It becomes a dead letter.
 */
export type MappedEvent =
  | { outcome: 'report'; type: NotificationType; report: ProviderReport }
  | { outcome: 'ignored'; eventType: string }
  | { outcome: 'invalid'; problem: string; raw: unknown }

/** A request of a provider. `url` is the public one that the provider posted to, with its query. */
export interface HookRequest {
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** The bytes as they came: a signature covers them. */
  body: Buffer
  url: string
  now: Date
}

/** What an operator gave to a hook. Two secrets are valid while one is rotated. */
export interface HookCredentials {
  /** Shared secrets in plain text, or public keys; the newest first. */
  secrets: readonly string[]
  /** Topics that SNS may deliver from. Empty for the other providers. */
  topicArns: readonly string[]
}

/**
 * - `refused`: forged, stale or without a signature.
 * - `unavailable`: what verifies it could not be fetched. The provider should send it again.
 */
export type Verification =
  | { outcome: 'verified' }
  | { outcome: 'refused'; reason: 'missing' | 'signature' | 'stale' | 'topic' }
  | { outcome: 'unavailable'; reason: string }

/** A verified body. */
export type HookPayload =
  | { kind: 'events'; events: MappedEvent[] }
  /** SNS asks to confirm a subscription by a GET of `url`. */
  | { kind: 'subscription'; topicArn: string; url: string }
  /** There is nothing to do. */
  | { kind: 'nothing' }
  | { kind: 'unreadable'; problem: string }

/** What the API needs to know of a provider. */
export interface Receiver {
  readonly provider: Provider
  /** Which of HookCredentials its hooks have. */
  readonly credential: 'secret' | 'public_key' | 'topic'
  /** Most bytes of a body. */
  readonly maxBytes: number
  verify(request: HookRequest, credentials: HookCredentials): Verification | Promise<Verification>
  /**
   * What must not be accepted a second time: for a provider whose signature does not cover the body, so that a copied
   * signature would pass with another body. At most 300 characters, and undefined when the request has none. Remember it
   * per hook, for `replayWindowMs`, once the events are accepted: earlier, a retry after a failure would be lost. Answer a
   * repeat with 200 and take nothing of it: it is the provider's retry, or forged.
   */
  replayKey?(request: HookRequest): string | undefined
  /** How long a replay key could pass again, in milliseconds. */
  readonly replayWindowMs?: number
  /** Reads a verified request. Never throws. */
  read(request: HookRequest): HookPayload
}
