import { maskValue } from '@tidings/shared/mask'
import type { GlobalOptions } from './context.ts'

/** More than any event that is accepted has, its dead letter included. */
const SHOWN_DEPTH = 40

/**
 * A copy of any JSON value as people see it: masked unless --show-sensitive is given, and cut off where it is
 * nested so deep that masking and printing it would exhaust the stack.
 */
export function toShown<Value>(globals: Pick<GlobalOptions, 'showSensitive'>, value: Value): Value {
  const cut = cutOff(value, SHOWN_DEPTH)
  return (globals.showSensitive ? cut : maskValue(cut)) as Value
}

function cutOff(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) return '…'
  if (Array.isArray(value)) return value.map((item) => cutOff(item, depth - 1))
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, cutOff(member, depth - 1)]))
}
