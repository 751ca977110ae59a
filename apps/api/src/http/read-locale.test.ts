import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readLocale } from './read-locale.ts'

describe('the locale of messages', () => {
  it.each([
    ['de-AT,de;q=0.9,en;q=0.8', 'de-AT'],
    ['pt-br', 'pt-BR'],
    ['  fr ; q=0.5', 'fr'],
    ['zh-Hant-TW', 'zh-Hant-TW'],
    [undefined, 'en'],
    ['', 'en'],
    ['*', 'en'],
    ['en_US', 'en'],
    ['*, de', 'en'],
    ['x'.repeat(16_000), 'en'],
    ['de-x-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd', 'en'],
    ['de\r\nBcc: x', 'en'],
  ])('of %j is %s', (header, locale) => {
    expect(readLocale(header)).toBe(locale)
  })

  it('is a well-formed tag for any header', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z]{2,8}(-[a-zA-Z0-9]{1,8})*$/)), (header) => {
        const locale = readLocale(header)
        expect(locale).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/i)
        expect(locale.length).toBeLessThanOrEqual(35)
      }),
    )
  })
})
