import { hash } from 'node:crypto'

/** A generator of numbers from 0 to 1, without 1. Equal seeds give equal numbers. Mulberry32, by Tommy Ettinger. */
export function createRandom(seed: string): () => number {
  let state = hash('sha256', seed, 'buffer').readInt32LE(0)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
