import { sendgridSimulator } from '@tidings/providers/sendgrid/simulate'
import type { HookTraffic, LoadRequest } from './protocol.ts'

/** Requests as SendGrid signs them. Their events have ids, so each can be sent once only. */
export function buildHookRequests(traffic: HookTraffic, connection: number, count: number): LoadRequest[] {
  const { path, privateKey, batch, label } = traffic
  const now = new Date()
  return Array.from({ length: count }, (_, n) => {
    const events = Array.from({ length: batch }, (_, index) => {
      const messageKey = `${label}-${connection}-${n}-${index}`
      return sendgridSimulator.simulate({
        outcome: 'delivered',
        random: Math.random,
        notificationId: messageKey,
        recipient: `person-${index}@example.com`,
        messageKey,
        at: now,
      })
    })
    const { headers, body } = sendgridSimulator.request(events, { url: path, secret: privateKey }, now)
    return { method: 'POST', path, headers, body: body.toString() }
  })
}
