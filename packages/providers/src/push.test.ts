import { statusReportSchema } from '@tidings/shared/status-event'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromApns } from './apns.ts'
import { fromFcm } from './fcm.ts'

const NOW = new Date('2026-03-01T12:00:00Z')

describe('an answer of FCM', () => {
  const failure = (status: number, errorCode: string) =>
    fromFcm({
      status,
      body: {
        error: {
          code: status,
          message: 'It failed.',
          status: 'SOME_STATUS',
          details: [
            { '@type': 'type.googleapis.com/google.rpc.BadRequest' },
            { '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode },
          ],
        },
      },
    })

  it('with a name means sent', () => {
    const name = 'projects/myproject-b5ae1/messages/0:1500415314455276%31bd1c9631bd1c96'
    expect(fromFcm({ status: 200, body: { name } })).toEqual({
      status: 'sent',
      provider: 'fcm',
      provider_message_id: name,
    })
  })

  it.each([
    [404, 'UNREGISTERED', 'bounced', 'permanent'],
    [403, 'SENDER_ID_MISMATCH', 'failed', 'config'],
    [401, 'THIRD_PARTY_AUTH_ERROR', 'failed', 'config'],
    [429, 'QUOTA_EXCEEDED', 'deferred', 'transient'],
    [503, 'UNAVAILABLE', 'deferred', 'transient'],
    [500, 'INTERNAL', 'deferred', 'transient'],
    [400, 'INVALID_ARGUMENT', 'failed', 'permanent'],
    [400, 'SOMETHING_NEW', 'failed', 'permanent'],
  ])('%i %s means %s, %s', (status, code, meaning, errorClass) => {
    expect(failure(status, code)).toEqual({
      status: meaning,
      provider: 'fcm',
      error: { code, class: errorClass, message: 'It failed.' },
    })
  })

  it.each([
    [502, '<html>', 'deferred', 'HTTP_502'],
    [404, null, 'failed', 'HTTP_404'],
    [401, { error: { status: 'UNAUTHENTICATED', message: 'No.' } }, 'failed', 'UNAUTHENTICATED'],
  ])('%i without a code of FCM means what HTTP says', (status, body, meaning, code) => {
    expect(fromFcm({ status, body })).toMatchObject({ status: meaning, error: { code } })
  })
})

describe('an answer of APNs', () => {
  const apnsId = 'EC1BF194-B3B2-424A-89A9-5A918A6E6B5A'

  it('200 means sent', () => {
    expect(fromApns({ status: 200, apnsId })).toEqual({
      status: 'sent',
      provider: 'apns',
      provider_message_id: apnsId,
    })
  })

  it.each(['Unregistered', 'ExpiredToken'])('410 %s is dated when Apple learned it', (reason) => {
    const body = { reason, timestamp: Date.UTC(2026, 1, 28) }
    expect(fromApns({ status: 410, apnsId, body }, NOW)).toEqual({
      status: 'bounced',
      provider: 'apns',
      provider_message_id: apnsId,
      timestamp: '2026-02-28T00:00:00.000Z',
      error: { code: 'Unregistered', class: 'permanent', message: reason },
    })
  })

  it.each([
    [400, 'BadDeviceToken', 'bounced', 'permanent'],
    [400, 'DeviceTokenNotForTopic', 'failed', 'config'],
    [400, 'BadTopic', 'failed', 'config'],
    [403, 'InvalidProviderToken', 'failed', 'config'],
    [403, 'ExpiredProviderToken', 'failed', 'config'],
    [413, 'PayloadTooLarge', 'failed', 'permanent'],
    [400, 'BadExpirationDate', 'failed', 'permanent'],
    [400, 'IdleTimeout', 'deferred', 'transient'],
    [429, 'TooManyRequests', 'deferred', 'transient'],
    [500, 'InternalServerError', 'deferred', 'transient'],
    [503, 'Shutdown', 'deferred', 'transient'],
  ])('%i %s means %s, %s', (status, reason, meaning, errorClass) => {
    expect(fromApns({ status, body: { reason } }, NOW)).toEqual({
      status: meaning,
      provider: 'apns',
      error: { code: reason, class: errorClass, message: reason },
    })
  })

  it('without a body means what HTTP says', () => {
    expect(fromApns({ status: 503 })).toMatchObject({ status: 'deferred', error: { code: 'HTTP_503' } })
  })
})

it('any answer makes a report that the API takes', () => {
  const statuses = fc.oneof(fc.constantFrom(200, 400, 404, 410, 429, 503), fc.nat(700))
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({ reason: fc.string(), timestamp: fc.double(), name: fc.string() }),
    fc.record({ error: fc.record({ message: fc.string(), details: fc.jsonValue(), status: fc.string() }) }),
  )
  fc.assert(
    fc.property(statuses, body, fc.string(), (status, sent, apnsId) => {
      for (const report of [fromFcm({ status, body: sent }), fromApns({ status, body: sent, apnsId })])
        statusReportSchema.parse({ ...report, notification_id: 'n', recipient: 'token' })
    }),
    { numRuns: 2000 },
  )
})
