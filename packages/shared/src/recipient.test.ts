import { describe, expect, it } from 'vitest'
import { digestRecipient } from './recipient.ts'

const digest = (recipient: string) => digestRecipient('key', 'email', recipient)

describe('the digest of an address', () => {
  // A sender writes either form, and providers report the one in ASCII.
  it.each([
    ['Ann@Example.com ', 'ann@example.com'],
    ['ann@bücher.example', 'ann@xn--bcher-kva.example'],
    ['ann@BÜCHER.example', 'ann@xn--bcher-kva.example'],
    ['ann@bu\u0308cher.example', 'ann@xn--bcher-kva.example'],
    ['ann@bücher。example', 'ann@xn--bcher-kva.example'],
    ['jose\u0301@example.com', 'jos\u00e9@example.com'],
  ])('is that of the same mailbox: %s and %s', (one, other) => {
    expect(digest(one)).toBe(digest(other))
  })

  it.each([
    ['ann+a@example.com', 'ann@example.com'],
    ['ann@bücher.example', 'ann@bucher.example'],
    ['josé@example.com', 'jose@example.com'],
    ['é@\ud800', 'é@'],
  ])('is not that of another: %s and %s', (one, other) => {
    expect(digest(one)).not.toBe(digest(other))
  })
})
