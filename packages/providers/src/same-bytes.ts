import { timingSafeEqual } from 'node:crypto'

/** Compares in constant time. The lengths are no secret: an algorithm fixes that of its digests. */
export const haveSameBytes = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
