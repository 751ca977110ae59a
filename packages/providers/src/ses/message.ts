import { z } from 'zod'

const text = z.string().optional().catch(undefined)

const recipientsSchema = z
  .array(z.object({ emailAddress: text, status: text, diagnosticCode: text }).catch({}))
  .catch([])

const topicsSchema = z
  .object({
    unsubscribeAll: z.boolean().optional().catch(undefined),
    topicSubscriptionStatus: z
      .array(z.object({ topicName: text, subscriptionStatus: text }).catch({}))
      .catch([]),
  })
  .optional()
  .catch(undefined)

const details = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z
    .object({ timestamp: text, ...shape })
    .optional()
    .catch(undefined)

/**
 * The events that SES publishes, and the notifications of an identity, which have `notificationType` and no tags.
 *
 * https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
 * https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
 */
export const sesMessageSchema = z.object({
  eventType: text,
  notificationType: text,
  mail: z
    .object({
      timestamp: text,
      messageId: text,
      destination: z.array(z.string()).catch([]),
      tags: z.record(z.string(), z.unknown()).optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
  bounce: details({ bounceType: text, bounceSubType: text, bouncedRecipients: recipientsSchema }),
  complaint: details({
    complaintSubType: text,
    complaintFeedbackType: text,
    complainedRecipients: recipientsSchema,
  }),
  delivery: details({ recipients: z.array(z.string()).catch([]) }),
  deliveryDelay: details({ delayType: text, delayedRecipients: recipientsSchema }),
  reject: details({ reason: text }),
  failure: details({ templateName: text, errorMessage: text }),
  open: details({ userAgent: text }),
  click: details({}),
  subscription: details({ oldTopicPreferences: topicsSchema, newTopicPreferences: topicsSchema }),
})
export type SesMessage = z.infer<typeof sesMessageSchema>
export type SesRecipient = z.infer<typeof recipientsSchema>[number]
