import type { Provider } from '@tidings/providers/provider'

/** Where the URL goes at the provider. docs/providers has a page for each. */
const NEXT_STEPS: Record<Provider, string> = {
  sendgrid:
    'At SendGrid: Settings, Mail Settings, Event Webhook: paste the URL as the HTTP post URL, choose the events, and ' +
    'turn the signed event webhook on.',
  ses:
    'At AWS: subscribe the URL to the topic with the protocol HTTPS, without raw message delivery. The API confirms the ' +
    'subscription by itself. Then let the configuration set of SES publish to the topic.',
  postmark: 'At Postmark: Servers, your server, Webhooks, Add webhook: paste the URL and choose the events.',
  mailgun: 'At Mailgun: Send, Webhooks, Add webhook: paste the URL for each event type.',
  resend:
    'At Resend: the URL is the endpoint of the webhook whose signing secret you gave. Choose the events.',
  twilio:
    'At Twilio: give the URL as StatusCallback when you send a message, with ?notification_id=… at its end.',
}

export const describeNextStep = (provider: Provider): string =>
  `${NEXT_STEPS[provider]}\nStep by step: docs/providers/${provider}.md`
