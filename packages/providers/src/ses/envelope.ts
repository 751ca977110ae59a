import { z } from 'zod'
import { parseBody } from '../payload.ts'

const common = {
  MessageId: z.string().min(1),
  TopicArn: z.string(),
  Message: z.string(),
  Timestamp: z.string(),
  SignatureVersion: z.enum(['1', '2']),
  Signature: z.string().min(1),
  SigningCertURL: z.string(),
}
const confirmation = { ...common, Token: z.string().regex(/^[\w-]{1,1024}$/), SubscribeURL: z.string() }

const envelopeSchema = z.discriminatedUnion('Type', [
  z.object({ ...common, Type: z.literal('Notification'), Subject: z.string().nullish() }),
  z.object({ ...confirmation, Type: z.literal('SubscriptionConfirmation') }),
  z.object({ ...confirmation, Type: z.literal('UnsubscribeConfirmation') }),
])
/** What SNS posts. https://docs.aws.amazon.com/sns/latest/dg/http-notification-json.html */
export type SnsEnvelope = z.infer<typeof envelopeSchema>

/** Undefined for anything else, such as a raw delivery, which has no envelope and so no signature. */
export function readEnvelope(body: Buffer): SnsEnvelope | undefined {
  const parsed = parseBody(body)
  return 'value' in parsed ? envelopeSchema.safeParse(parsed.value).data : undefined
}

const SIGNED_FIELDS = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: [
    'Message',
    'MessageId',
    'SubscribeURL',
    'Timestamp',
    'Token',
    'TopicArn',
    'Type',
  ],
} as const

/** The text that SNS signs. https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html */
export function signedText(envelope: Omit<SnsEnvelope, 'Signature'>): string {
  const fields: Readonly<Record<string, unknown>> = { ...envelope }
  const names =
    envelope.Type === 'Notification' ? SIGNED_FIELDS.Notification : SIGNED_FIELDS.SubscriptionConfirmation
  return names
    .filter((name) => fields[name] !== undefined && fields[name] !== null)
    .map((name) => `${name}\n${fields[name]}\n`)
    .join('')
}
