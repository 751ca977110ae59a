import type { ErrorClass, Status } from '@tidings/shared/status-event'

export interface TwilioError {
  status: Status
  class?: ErrorClass
  message: string
}

const unusable = (message: string): TwilioError => ({ status: 'bounced', class: 'permanent', message })
const unreached = (message: string): TwilioError => ({ status: 'bounced', class: 'transient', message })
const congested = (message: string): TwilioError => ({ status: 'failed', class: 'transient', message })
/** The sender's account, number or text is at fault, not the recipient. */
const misconfigured = (message: string): TwilioError => ({ status: 'failed', class: 'config', message })
const optedOut = (message: string): TwilioError => ({ status: 'suppressed', message })

/**
 * The common codes of messages.
 *
 * @see https://www.twilio.com/docs/api/errors
 */
export const TWILIO_ERRORS: Readonly<Record<string, TwilioError>> = {
  21211: unusable('The number is not valid.'),
  21408: misconfigured('The account may not send to this region.'),
  21606: misconfigured('The sender may not send to this number.'),
  21610: optedOut('The recipient opted out.'),
  21611: congested('The queue of the sender is full.'),
  21612: misconfigured('There is no route from the sender to this number.'),
  21614: unusable('The number is not a mobile number.'),
  30001: congested('The queue overflowed.'),
  30002: misconfigured('The account is suspended.'),
  30003: unreached('The handset is switched off or not available.'),
  30004: unreached('The message was blocked on its way to this number.'),
  30005: unusable('The number is unknown or not in use.'),
  30006: unusable('The number is a landline, or its carrier cannot be reached.'),
  30007: misconfigured('The message was filtered, by Twilio or by the carrier.'),
  30008: unreached('The carrier gave no reason.'),
  30009: congested('A part of the message is missing.'),
  30010: misconfigured('The message costs more than its highest price.'),
  30017: congested('The network of the carrier is congested.'),
  30018: misconfigured('The carrier requires a registered sender.'),
  30022: congested('The rate limit of the sender was reached.'),
  30023: congested('The daily limit of the sender was reached.'),
  30024: misconfigured('The number of the sender is not set up at the carrier.'),
  30032: misconfigured('The toll-free number of the sender is not verified.'),
  30034: misconfigured('The number of the sender is not registered.'),
  63003: unusable('The channel does not know this address.'),
  63016: misconfigured('Outside the time window of the channel, only a template may be sent.'),
  63018: congested('The rate limit of the channel was reached.'),
  63024: unusable('The channel does not accept this recipient.'),
}
