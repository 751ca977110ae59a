import { expect, it } from 'vitest'
import { ShardChoice } from './shard-choice.ts'

it('takes the shards in turn, and passes over one that failed until it is tried once again', () => {
  const choice = new ShardChoice(3)
  const take = (count: number, nowMs: number) => Array.from({ length: count }, () => choice.next(nowMs))
  expect(take(4, 0)).toEqual([0, 1, 2, 0])
  choice.failed(1, 0)
  expect(take(4, 400)).toEqual([2, 0, 2, 0])
  // One attempt after the pause. It has no outcome yet.
  expect(take(5, 600)).toEqual([1, 2, 0, 2, 0])
  choice.succeeded(1)
  expect(take(3, 600)).toEqual([1, 2, 0])
})

it('has none while all are passed over', () => {
  const choice = new ShardChoice(2)
  choice.failed(0, 0)
  choice.failed(1, 0)
  expect(choice.next(100)).toBeUndefined()
  expect(choice.next(501)).toBe(0)
})
