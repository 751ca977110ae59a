import { describe, expect, it } from 'vitest'
import { SealError, seal, unseal } from './seal.ts'

const KEY = 'a key of this test, long enough'

describe('sealing', () => {
  it('gives the text back', () => {
    for (const text of ['', 'whsec_abc', 'ключ \u{1f511}', 'x'.repeat(10_000)])
      expect(unseal(KEY, 'hook', seal(KEY, 'hook', text))).toBe(text)
  })

  it('never seals the same text to the same bytes, and shows nothing of it', () => {
    const [first, second] = [seal(KEY, 'hook', 'whsec_abc'), seal(KEY, 'hook', 'whsec_abc')]
    expect(first).not.toBe(second)
    expect(Buffer.from(first.slice(3), 'base64url').toString('latin1')).not.toContain('whsec')
  })

  it('refuses another key, another purpose, and a text with one byte changed', () => {
    const sealed = seal(KEY, 'hook', 'whsec_abc')
    expect(() => unseal(`${KEY}!`, 'hook', sealed)).toThrow(SealError)
    expect(() => unseal(KEY, 'another hook', sealed)).toThrow(SealError)
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    for (const [index, byte] of bytes.entries()) {
      const changed = Buffer.from(bytes)
      changed[index] = byte ^ 1
      expect(() => unseal(KEY, 'hook', `v1.${changed.toString('base64url')}`)).toThrow(SealError)
    }
    for (const text of ['', 'v1.', 'v1.AAAA', sealed.slice(3), `v2.${sealed.slice(3)}`])
      expect(() => unseal(KEY, 'hook', text)).toThrow(SealError)
  })
})
