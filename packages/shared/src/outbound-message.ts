import { z } from 'zod'

/**
 * The purposes of a one-time token. A token acts for its purpose only. `operator_reset` resets the password like
 * `password_reset`, and proves no address: an operator handed it over.
 */
export const TOKEN_PURPOSES = [
  'password_reset',
  'operator_reset',
  'email_verification',
  'email_change',
  'email_undo',
] as const
export type TokenPurpose = (typeof TOKEN_PURPOSES)[number]
/** The purposes of the links in messages. */
export type LinkPurpose = Exclude<TokenPurpose, 'operator_reset'>
/** What resets a password. */
export const RESET_PURPOSES = ['password_reset', 'operator_reset'] as const satisfies readonly TokenPurpose[]

/** A message that the e-mail service sends for Tidings. */
export const OUTBOUND_KINDS = [
  'password_reset',
  'email_verification',
  'email_change',
  'email_changed',
  'password_changed',
  'new_device',
  'account_deactivated',
] as const
export type OutboundKind = (typeof OUTBOUND_KINDS)[number]

const HOUR_SECONDS = 3_600

/**
 * How long each message may be sent, which is also the lifetime of its link. A notice of something that happened days
 * ago helps nobody.
 */
export const OUTBOUND_TTL_SECONDS = {
  password_reset: HOUR_SECONDS,
  email_verification: 24 * HOUR_SECONDS,
  email_change: 24 * HOUR_SECONDS,
  email_changed: 72 * HOUR_SECONDS,
  password_changed: 24 * HOUR_SECONDS,
  new_device: 24 * HOUR_SECONDS,
  account_deactivated: 24 * HOUR_SECONDS,
} as const satisfies Record<OutboundKind, number>

/** The link in each kind of message: the path at APP_URL, and what its token may do. The other kinds are notices. */
export const OUTBOUND_LINKS: Partial<Record<OutboundKind, { path: string; purpose: LinkPurpose }>> = {
  password_reset: { path: '/reset-password', purpose: 'password_reset' },
  email_verification: { path: '/verify-email', purpose: 'email_verification' },
  email_change: { path: '/confirm-email', purpose: 'email_change' },
  email_changed: { path: '/undo-email', purpose: 'email_undo' },
}

/** Texts for a template, such as the user's name or the device that logged in. Never a secret. */
const variablesSchema = z.record(z.string(), z.string())
export type OutboundVariables = z.infer<typeof variablesSchema>

/** Data of a job on the queue `outbound-messages`. The job's id is `id`. */
export const outboundJobSchema = z
  .strictObject({
    v: z.literal(1),
    id: z
      .guid()
      .describe('Report what became of the message under this notification_id. Also the id of the job.'),
    kind: z.enum(OUTBOUND_KINDS),
    to: z.string().describe('The e-mail address.'),
    user_id: z.guid().describe('Goes into every report.'),
    locale: z.string().describe('A BCP 47 tag, such as en or pt-BR.'),
    variables: variablesSchema.describe(
      'Texts for the template. link holds the secret of the message: do not log it.',
    ),
    expires_at: z.iso.datetime().describe('Do not send the message later.'),
  })
  .meta({ id: 'OutboundMessage' })
export type OutboundJob = z.infer<typeof outboundJobSchema>

export const DEFAULT_LOCALE = 'en'
