import { parseText } from '../payload.ts'
import type { HookPayload, HookRequest, Receiver } from '../provider.ts'
import { readEnvelope } from './envelope.ts'
import { mapSes } from './map.ts'
import { readSubscribeUrl } from './pinned-urls.ts'
import { createSnsVerifier, type FetchCertificate } from './verify.ts'

/** Amazon SES, whose events SNS delivers: one in each request. */
export const createSesReceiver = (deps: { fetchCertificate: FetchCertificate }): Receiver => ({
  provider: 'ses',
  credential: 'topic',
  // SNS takes messages of up to 256 KB, and its envelope escapes their quotes.
  maxBytes: 1024 * 1024,
  verify: createSnsVerifier(deps.fetchCertificate),
  read: readSes,
})

function readSes({ body, now }: HookRequest): HookPayload {
  const envelope = readEnvelope(body)
  if (envelope === undefined) return { kind: 'unreadable', problem: 'The body is no message of SNS.' }
  switch (envelope.Type) {
    case 'SubscriptionConfirmation': {
      const url = readSubscribeUrl(envelope)
      if (url === undefined)
        return { kind: 'unreadable', problem: 'The SubscribeURL is not that of the topic.' }
      return { kind: 'subscription', topicArn: envelope.TopicArn, url }
    }
    case 'UnsubscribeConfirmation':
      return { kind: 'nothing' }
    case 'Notification': {
      if (SETUP_NOTICE.test(envelope.Message)) return { kind: 'nothing' }
      const parsed = parseText(envelope.Message)
      if ('problem' in parsed)
        return { kind: 'unreadable', problem: `The Message is no event: ${parsed.problem}` }
      return { kind: 'events', events: mapSes(parsed.value, envelope.MessageId, now) }
    }
  }
}

/** SES publishes this once, as plain text, when a topic is chosen. */
const SETUP_NOTICE = /^Successfully validated SNS topic for Amazon SES event publishing/
