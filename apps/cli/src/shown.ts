import { cutDeepJson } from '@tidings/shared/json'
import { maskValue } from '@tidings/shared/mask'
import type { GlobalOptions } from './context.ts'

/** More than any event that is accepted has, its dead letter included. */
const SHOWN_DEPTH = 40

/**
 * A copy of any JSON value as people see it: masked unless --show-sensitive is given, and cut off where it is
 * nested so deep that masking and printing it would exhaust the stack.
 */
export function toShown<Value>(globals: Pick<GlobalOptions, 'showSensitive'>, value: Value): Value {
  const cut = cutDeepJson(value, SHOWN_DEPTH)
  return (globals.showSensitive ? cut : maskValue(cut)) as Value
}
