import { expect, it } from 'vitest'
import { compareWithStores, type Knowledge, Ledger } from './ledger.ts'

const createLedger = (knowledge: Knowledge) => {
  const ledger = new Ledger()
  ledger.send('a')
  ledger.learn('a', knowledge)
  return ledger
}
const createStores = (rows: number, deadLetters: number) => ({
  rows: new Map(rows ? [['a', rows]] : []),
  deadLetters: new Map(
    deadLetters
      ? [['a', Array.from({ length: deadLetters }, () => ({ reason: 'stalled', attempts: 1 }))]]
      : [],
  ),
})
const compare = (knowledge: Knowledge, rows: number, deadLetters: number) =>
  compareWithStores(createLedger(knowledge), createStores(rows, deadLetters))

it('counts an acknowledged event in neither store as lost, but not an event in doubt', () => {
  expect(compare('acknowledged', 0, 0).lost).toEqual(['a'])
  expect(compare('in doubt', 0, 0).lost).toEqual([])
})

it('counts two rows, two dead letters, or one of each as doubled', () => {
  expect(compare('acknowledged', 2, 0).doubled).toEqual(['a'])
  expect(compare('acknowledged', 0, 2).doubled).toEqual(['a'])
  expect(compare('in doubt', 1, 1).doubled).toEqual(['a'])
  expect(compare('acknowledged', 1, 0).doubled).toEqual([])
  expect(compare('acknowledged', 0, 1).doubled).toEqual([])
})

it('counts a refused or unsent event in a store as unexplained', () => {
  expect(compare('refused', 1, 0).unexplained).toEqual(['a'])
  expect(compareWithStores(new Ledger(), createStores(0, 1)).unexplained).toEqual(['a'])
})

it('counts a dead-lettered event that should be a row as misplaced', () => {
  expect(compare('acknowledged', 0, 1).misplaced).toEqual(['a'])
})
