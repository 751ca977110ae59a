import type { Status } from '@tidings/shared/status-event'
import { isMachineUserAgent, MACHINE_OPEN } from '../machine-open.ts'
import type { ErrorParts } from '../report.ts'
import { findSmtpCode } from '../smtp-codes.ts'
import type { SesMessage, SesRecipient } from './message.ts'

/** What one event of SES says. */
export interface SesDecision {
  status: Status
  time: string | undefined
  /** The recipients that it is about. Undefined when SES does not say which. */
  recipients?: { address: string | undefined; error?: ErrorParts }[] | undefined
  error?: ErrorParts
  /** Whether it concerns all that is sent to the recipient, not only the message's category. */
  allCategories?: boolean
  metadata?: Record<string, string | undefined>
}

/** @returns the name under which an event without a status is counted. */
export function decide(eventType: string, message: SesMessage): SesDecision | string {
  const { mail, delivery, open, click, reject, failure } = message
  switch (eventType) {
    case 'Send':
      return { status: 'sent', time: mail?.timestamp }
    case 'Delivery':
      return {
        status: 'delivered',
        time: delivery?.timestamp,
        recipients: delivery?.recipients.map((address) => ({ address })),
      }
    case 'DeliveryDelay':
      return decideDelay(message)
    case 'Bounce':
      return decideBounce(message)
    case 'Complaint':
      return decideComplaint(message)
    case 'Reject':
      return {
        status: 'failed',
        time: mail?.timestamp,
        error: { code: 'Reject', class: 'config', message: reject?.reason },
      }
    case 'Rendering Failure':
      return {
        status: 'failed',
        time: mail?.timestamp,
        error: { code: 'RenderingFailure', class: 'config', message: failure?.errorMessage },
      }
    case 'Open':
      return isMachineUserAgent(open?.userAgent) ? MACHINE_OPEN : { status: 'opened', time: open?.timestamp }
    case 'Click':
      return { status: 'clicked', time: click?.timestamp }
    case 'Subscription':
      return decideSubscription(message)
    default:
      return eventType
  }
}

/** Subtypes of mail that SES took and did not send. */
const SUPPRESSED = ['Suppressed', 'OnAccountSuppressionList', 'UnsubscribedRecipient']

function decideBounce({ bounce }: SesMessage): SesDecision {
  const { bounceType, bounceSubType = '', timestamp, bouncedRecipients } = bounce ?? {}
  const isPermanent = bounceType === 'Permanent'
  return {
    status: SUPPRESSED.includes(bounceSubType) ? 'suppressed' : 'bounced',
    time: timestamp,
    error: { class: isPermanent ? 'permanent' : 'transient', code: bounceSubType },
    recipients: withErrors(bouncedRecipients, isPermanent ? 'permanent' : 'transient', bounceSubType),
    metadata: { bounce_type: bounceType, bounce_subtype: bounceSubType },
  }
}

function decideDelay({ deliveryDelay }: SesMessage): SesDecision {
  const { delayType = '', timestamp, delayedRecipients } = deliveryDelay ?? {}
  return {
    status: 'deferred',
    time: timestamp,
    error: { class: 'transient', code: delayType },
    recipients: withErrors(delayedRecipients, 'transient', delayType),
    metadata: { delay_type: delayType },
  }
}

/**
 * Most mailbox providers hide who complained. SES then names all recipients of the message at that provider: send a
 * message to one recipient.
 */
function decideComplaint({ complaint }: SesMessage): SesDecision | string {
  const { complaintSubType, complaintFeedbackType, timestamp, complainedRecipients } = complaint ?? {}
  // The recipient moved it out of the spam folder.
  if (complaintFeedbackType === 'not-spam') return 'Complaint not-spam'
  return {
    status: complaintSubType === 'OnAccountSuppressionList' ? 'suppressed' : 'complained',
    time: timestamp,
    recipients: complainedRecipients?.map(({ emailAddress }) => ({ address: emailAddress })),
    metadata: { complaint_type: complaintFeedbackType, complaint_subtype: complaintSubType },
  }
}

function decideSubscription({ subscription }: SesMessage): SesDecision | string {
  const { oldTopicPreferences: before, newTopicPreferences: after, timestamp } = subscription ?? {}
  const allCategories = after?.unsubscribeAll === true
  const wasOut = new Set(topicsOut(before))
  if (!allCategories && topicsOut(after).every((name) => wasOut.has(name))) return 'Subscription'
  return { status: 'unsubscribed', time: timestamp, allCategories }
}

const topicsOut = (preferences: NonNullable<SesMessage['subscription']>['newTopicPreferences']) =>
  (preferences?.topicSubscriptionStatus ?? [])
    .filter(({ subscriptionStatus }) => subscriptionStatus === 'OptOut')
    .map(({ topicName }) => topicName)

const withErrors = (
  recipients: SesRecipient[] | undefined,
  errorClass: ErrorParts['class'],
  subtype: string,
) =>
  recipients?.map(({ emailAddress, status, diagnosticCode }) => ({
    address: emailAddress,
    error: {
      code: findSmtpCode(diagnosticCode, status) ?? subtype,
      class: errorClass,
      message: diagnosticCode,
    },
  }))
