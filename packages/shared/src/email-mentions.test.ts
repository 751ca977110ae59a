import { describe, expect, it } from 'vitest'
import { createAddressFinder } from './email-mentions.ts'

const mentionsAnn = createAddressFinder('Ann@Example.com')
const inJson = (text: string) => mentionsAnn(JSON.stringify({ error: text }).toLowerCase())

describe('an address', () => {
  it.each([
    'ann@example.com',
    'ANN@EXAMPLE.COM',
    'box of <ann@example.com>, full.',
    'no box ann@example.com.',
    'to: ann@example.com...',
    "RCPT TO='ann@example.com'",
    'to="ann@example.com"',
    'mailto:ann@example.com?subject=x',
    'joann@example.com or ann@example.com',
    'line\nann@example.com\nline',
    'tab\tann@example.com',
    'escape\u001bann@example.com',
    '邮箱ann@example.com已满',
  ])('is found: %j', (text) => expect(inJson(text)).toBe(true))

  it.each([
    'joann@example.com',
    'jo.ann@example.com',
    "o'ann@example.com",
    'jo+ann@example.com',
    'jo_ann@example.com',
    'jo-ann@example.com',
    'jo%ann@example.com',
    'C:\\nann@example.com',
    'ann@example.community',
    'ann@example.com-mail.org',
    'ann@example.com.au',
    'annexample.com',
    'ann@example-com',
  ])('is not found: %j', (text) => expect(inJson(text)).toBe(false))

  it('may contain characters with a meaning in regular expressions', () => {
    const mentionsIt = createAddressFinder('a.b+(c)$@x.org')
    expect(mentionsIt('to a.b+(c)$@x.org.')).toBe(true)
    expect(mentionsIt('to a-b+(c)$@x.org.')).toBe(false)
  })
})
