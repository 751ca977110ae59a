import { expect, test } from 'vitest'
import { haveSameBytes } from './same-bytes.ts'

test('compares bytes, and refuses other lengths without an error', () => {
  expect(haveSameBytes(Buffer.from('abc'), Buffer.from('abc'))).toBe(true)
  expect(haveSameBytes(Buffer.from('abc'), Buffer.from('abd'))).toBe(false)
  expect(haveSameBytes(Buffer.from('abc'), Buffer.from('ab'))).toBe(false)
  expect(haveSameBytes(Buffer.from(''), Buffer.from('abc'))).toBe(false)
})
