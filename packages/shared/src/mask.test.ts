import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maskText, maskValue } from './mask.ts'

const local = fc.stringMatching(/^[\p{L}\p{N}][\p{L}\p{N}._%+-]{0,80}$/u)
const domain = fc.stringMatching(/^[a-z0-9-]{1,12}(\.[a-z0-9-]{1,8}){0,2}\.[a-zé]{2,6}$/)
const around = fc.string({ unit: fc.constantFrom(' ', '@', '.', 'x', '1', '<', '"', ':', '\n', '[', '…') })

describe('maskText', () => {
  it('keeps only the first letter and the domain of an address, in any context', () => {
    fc.assert(
      fc.property(around, local, domain, around, (before, name, host, after) => {
        fc.pre(name.length > 3)
        const masked = maskText(`${before} ${name}@${host} ${after}`)
        expect(masked).toContain(` ${[...name][0]}***@${host}`)
        expect(masked).not.toContain(`${name}@`)
      }),
    )
  })

  it.each([
    ['grace@example.com.1y@example.org', 'g***@example.com.1***@example.org'],
    ['..grace@example.com', '..g***@example.com'],
    ['grace@localhost, ada@example.com', 'grace@localhost, a***@example.com'],
    ['no@address@example.com', 'no@a***@example.com'],
    ['ExpoPushToken[abc', 'ExpoPushToken[***]'],
    [`${'a1'.repeat(11)}:${'b_-'.repeat(20)}`, 'a1a1***(83)'],
    [`${'ab'.repeat(11)}:${'b_-'.repeat(20)}`, `${'ab'.repeat(11)}:${'b_-'.repeat(20)}`],
  ])('%s becomes %s', (text, masked) => {
    expect(maskText(text)).toBe(masked)
  })

  it.each([
    ['a word', 'a'],
    ['unfinished addresses', 'a@'],
    ['parts with colons', 'a:'],
    ['unclosed tokens', 'ExpoPushToken['],
    ['adjacent addresses', 'a@b.cc.'],
  ])('stays fast on 400,000 characters of %s', (_name, part) => {
    const text = part.repeat(200_000 / part.length)
    const startedMs = performance.now()
    maskText(`${text}@${text}`)
    // In quadratic time it would take minutes.
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  })
})

describe('maskValue', () => {
  it('cuts off levels that are nested thousands deep', () => {
    const deep: unknown = JSON.parse(`${'{"a":['.repeat(5_000)}"grace@example.com"${']}'.repeat(5_000)}`)
    const shown = JSON.stringify(maskValue({ to: 'grace@example.com', deep }))
    expect(shown).toContain('"g***@example.com"')
    expect(shown).toContain('"…"')
  })
})

describe('masking', () => {
  it('hides addresses and tokens, keeps ids and ordinary text', () => {
    expect(maskText('to ada.l+x@mail.example.org, id 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee')).toBe(
      'to a***@mail.example.org, id 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee',
    )
    expect(maskText('ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx] gone')).toBe('ExponentPushToken[***] gone')
    expect(maskText('a'.repeat(64))).toBe('aaaa***(64)')
    expect(maskValue({ deep: [{ device_token: 'abcdefghijkl' }], fingerprint: 'aabbccddeeff' })).toEqual({
      deep: [{ device_token: 'abcd***(12)' }],
      fingerprint: 'aabbccddeeff',
    })
  })
})
