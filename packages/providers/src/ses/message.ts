import { z } from 'zod'
import { maybe, maybeText } from '../lenient.ts'

const recipientsSchema = z
  .array(z.object({ emailAddress: maybeText, status: maybeText, diagnosticCode: maybeText }).catch({}))
  .catch([])

const topicsSchema = maybe(
  z.object({
    unsubscribeAll: maybe(z.boolean()),
    topicSubscriptionStatus: z
      .array(z.object({ topicName: maybeText, subscriptionStatus: maybeText }).catch({}))
      .catch([]),
  }),
)

const details = <Shape extends z.ZodRawShape>(shape: Shape) =>
  maybe(z.object({ timestamp: maybeText, ...shape }))

/**
 * The events that SES publishes, and the notifications of an identity, which have `notificationType` and no tags.
 *
 * https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
 * https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
 */
export const sesMessageSchema = z.object({
  eventType: maybeText,
  notificationType: maybeText,
  mail: maybe(
    z.object({
      timestamp: maybeText,
      messageId: maybeText,
      destination: z.array(z.string()).catch([]),
      tags: maybe(z.record(z.string(), z.unknown())),
    }),
  ),
  bounce: details({ bounceType: maybeText, bounceSubType: maybeText, bouncedRecipients: recipientsSchema }),
  complaint: details({
    complaintSubType: maybeText,
    complaintFeedbackType: maybeText,
    complainedRecipients: recipientsSchema,
  }),
  delivery: details({ recipients: z.array(z.string()).catch([]) }),
  deliveryDelay: details({ delayType: maybeText, delayedRecipients: recipientsSchema }),
  reject: details({ reason: maybeText }),
  failure: details({ templateName: maybeText, errorMessage: maybeText }),
  open: details({ userAgent: maybeText }),
  click: details({}),
  subscription: details({ oldTopicPreferences: topicsSchema, newTopicPreferences: topicsSchema }),
})
export type SesMessage = z.infer<typeof sesMessageSchema>
export type SesRecipient = z.infer<typeof recipientsSchema>[number]
