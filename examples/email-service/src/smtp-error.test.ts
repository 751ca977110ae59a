import { expect, test } from 'vitest'
import { classifySmtpError } from './smtp-error.ts'

test.each([
  [{ command: 'RCPT TO', responseCode: 550, response: '550 no such user' }, 'bounced', 'permanent', '550'],
  [{ command: 'DATA', responseCode: 554 }, 'failed', 'permanent', '554'],
  [{ command: 'RCPT TO', responseCode: 450 }, 'deferred', 'transient', '450'],
  [{ command: 'AUTH PLAIN', responseCode: 535, code: 'EAUTH' }, 'deferred', 'config', '535'],
  [
    { command: 'CONN', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' },
    'deferred',
    'transient',
    'ECONNREFUSED',
  ],
  ['no error at all', 'deferred', 'transient', 'unknown'],
] as const)('%j becomes %s (%s)', (error, status, errorClass, code) => {
  expect(classifySmtpError(error)).toMatchObject({
    status,
    class: errorClass,
    code,
    message: expect.any(String),
  })
})
