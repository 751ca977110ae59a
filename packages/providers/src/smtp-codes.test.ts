import { expect, it } from 'vitest'
import { findSmtpCode } from './smtp-codes.ts'

it.each([
  ['550 5.1.1 The email account does not exist.', '5.1.1'],
  ['550-5.7.26 Unauthenticated mail', '5.7.26'],
  ['smtp;550 no such user', '550'],
  ['smtp; 421-4.7.0 Try again', '4.7.0'],
  ['500 unknown recipient', '500'],
  ['lost connection to 5.1.1.7 after 250 bytes', undefined],
  ['Error 5501 of room 5.1', undefined],
  ['Bounced Address', undefined],
  ['', undefined],
  [undefined, undefined],
])('finds in %j the code %s', (answer, code) => {
  expect(findSmtpCode(answer)).toBe(code)
})

it('prefers the code that the provider names', () => {
  expect(findSmtpCode('550 5.1.1 user unknown', '5.0.0')).toBe('5.0.0')
  expect(findSmtpCode('550 5.1.1 user unknown', 'failed')).toBe('5.1.1')
})
