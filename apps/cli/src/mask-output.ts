import { cutDeepJson } from '@tidings/shared/json'
import { maskValue, SHOWN_DEPTH } from '@tidings/shared/mask'
import type { GlobalOptions } from './context.ts'

/**
 * A copy of any JSON value as people see it: masked unless --show-sensitive is given, and cut off where it is
 * nested so deep that printing it would exhaust the stack.
 */
export function toShown<Value>(globals: Pick<GlobalOptions, 'showSensitive'>, value: Value): Value {
  return (globals.showSensitive ? cutDeepJson(value, SHOWN_DEPTH) : maskValue(value)) as Value
}
