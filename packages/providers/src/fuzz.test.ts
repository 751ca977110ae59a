import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import postmarkRecords from './postmark/fixtures/records.json' with { type: 'json' }
import { createReceivers } from './receivers.ts'
import sendgridEvents from './sendgrid/fixtures/events.json' with { type: 'json' }
import sesMessages from './ses/fixtures/messages.json' with { type: 'json' }
import signed from './ses/fixtures/signed.json' with { type: 'json' }
import { expectUsable } from './testing/expect-usable.ts'
import { mutationOf } from './testing/fuzz.ts'

const RUNS = 3500
const NOW = new Date()

const receivers = createReceivers({ fetchCertificate: async () => signed.certificate })

const envelope = JSON.parse(signed.version2)
const inEnvelope = (message: unknown) => ({ ...envelope, Message: JSON.stringify(message) })

/** Bodies of each provider, before they become bytes. */
const PAYLOADS = {
  sendgrid: fc.array(mutationOf(sendgridEvents), { maxLength: 3 }),
  postmark: mutationOf(postmarkRecords),
  ses: fc.oneof(
    { weight: 8, arbitrary: mutationOf(sesMessages).map(inEnvelope) },
    { weight: 1, arbitrary: mutationOf([envelope, JSON.parse(signed.confirmation)]) },
  ),
}
const PROVIDERS = ['sendgrid', 'postmark', 'ses'] as const

const toRequest = (body: Buffer, headers: Record<string, string | string[]> = {}) => ({
  headers,
  body,
  url: 'https://tidings.example.com/hooks/x/y',
  now: NOW,
})

describe.each(PROVIDERS)('%s', (provider) => {
  const receiver = receivers[provider]

  it('maps any payload to reports that the API and the worker take, and twice to the same', () => {
    let reports = 0
    fc.assert(
      fc.property(PAYLOADS[provider], (payload) => {
        const body = Buffer.from(JSON.stringify(payload))
        const read = receiver.read(toRequest(body))
        reports += expectUsable(read)
        expect(JSON.stringify(receiver.read(toRequest(body)))).toBe(JSON.stringify(read))
      }),
      { numRuns: RUNS },
    )
    // Most changes leave a usable event. Without this the test could pass by refusing all.
    expect(reports).toBeGreaterThan(RUNS / 3)
  })

  it('reads any bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
      fc
        .tuple(PAYLOADS[provider], fc.nat(2000), fc.integer({ min: 0, max: 255 }))
        .map(([payload, at, byte]) => {
          const body = Buffer.from(JSON.stringify(payload))
          if (body.length > 0) body[at % body.length] = byte
          return body
        }),
    )
    fc.assert(
      fc.property(bytes, (body) => {
        expectUsable(receiver.read(toRequest(body)))
      }),
      { numRuns: 1000 },
    )
  })

  it('verifies any request without throwing, and accepts none', async () => {
    const header = fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string()), fc.base64String())
    const headers = fc.dictionary(
      fc.constantFrom(
        'authorization',
        'x-twilio-email-event-webhook-signature',
        'x-twilio-email-event-webhook-timestamp',
      ),
      header,
    )
    await fc.assert(
      fc.asyncProperty(PAYLOADS[provider], headers, fc.array(fc.string()), async (payload, sent, secrets) => {
        const request = toRequest(Buffer.from(JSON.stringify(payload)), sent)
        const credentials = { secrets, topicArns: [signed.topicArn] }
        expect((await receiver.verify(request, credentials)).outcome).toBe('refused')
      }),
      { numRuns: 500 },
    )
  })
})
