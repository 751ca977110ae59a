import { expect, it } from 'vitest'
import records from './fixtures/records.json' with { type: 'json' }
import { postmarkReceiver } from './receiver.ts'
import { signPostmark } from './sign.ts'

const SECRET = 'q3Zb0yYq1lq8s3fT'
const body = JSON.stringify(records[0])

const request = (headers: Record<string, string | string[]>, sent = body) => ({
  headers,
  body: Buffer.from(sent),
  url: 'https://tidings.example.com/hooks/postmark/h1',
  now: new Date('2026-03-01T12:10:00Z'),
})
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
const verify = (headers: Record<string, string | string[]>, secrets = [SECRET]) =>
  postmarkReceiver.verify(request(headers), { secrets, topicArns: [] })

const VERIFIED = { outcome: 'verified' }
const REFUSED = { outcome: 'refused', reason: 'signature' }

it('accepts the name and password of the URL, also while two passwords are valid', () => {
  expect(verify(signPostmark(SECRET))).toEqual(VERIFIED)
  expect(verify(signPostmark(SECRET), ['newer', SECRET])).toEqual(VERIFIED)
  expect(verify(basic(`tidings:${SECRET}`))).toEqual(VERIFIED)
})

it.each([
  ["another hook's secret", signPostmark('q3Zb0yYq1lq8s3fU')],
  ['a shorter secret', signPostmark(SECRET.slice(1))],
  ['no secret', signPostmark('')],
  ['another name', basic(`postmark:${SECRET}`)],
  ['the secret alone', basic(SECRET)],
  ['a bearer token', { authorization: `Bearer ${SECRET}` }],
  ['no base64', { authorization: 'Basic !' }],
  ['nothing', { authorization: '' }],
  ['what is very long', basic('x'.repeat(100_000))],
])('refuses %s', (_what, headers) => {
  expect(verify(headers)).toEqual(REFUSED)
})

it('refuses everything for a hook without a secret', () => {
  expect(verify(basic('tidings:'), [])).toEqual(REFUSED)
  expect(verify(basic('tidings:'), [''])).toEqual(REFUSED)
})

it('refuses a request without the header, or with two of it', () => {
  expect(verify({})).toEqual({ outcome: 'refused', reason: 'missing' })
  const { authorization = '' } = signPostmark(SECRET)
  expect(verify({ authorization: [authorization, authorization] })).toEqual({
    outcome: 'refused',
    reason: 'missing',
  })
})

it('reads a body in any form, because Postmark signs none', () => {
  const read = (sent: string) => postmarkReceiver.read(request({}, sent))
  const expected = read(body)
  expect(expected).toMatchObject({ kind: 'events', events: [{ outcome: 'report' }] })
  const reversed = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(body)).reverse()))
  for (const same of [JSON.stringify(JSON.parse(body), null, 2), `\uFEFF${body}`, `${body}\r\n`, reversed])
    expect(read(same)).toEqual(expected)
  expect(read('{')).toEqual({ kind: 'unreadable', problem: 'The body is not JSON.' })
})
