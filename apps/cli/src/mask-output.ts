import { cutDeepJson } from '@tidings/shared/json'
import { maskText, maskValue, SHOWN_DEPTH } from '@tidings/shared/mask'
import type { GlobalOptions } from './context.ts'

/**
 * A copy of a JSON value for output: masked unless --show-sensitive is given, and cut where it is nested so deeply that
 * printing it would overflow the stack.
 */
export function toShown<Value>(globals: Pick<GlobalOptions, 'showSensitive'>, value: Value): Value {
  return (globals.showSensitive ? cutDeepJson(value, SHOWN_DEPTH) : maskValue(value)) as Value
}

/** A function that masks texts, unless --show-sensitive is given. */
export const createMask = ({ globals }: { globals: Pick<GlobalOptions, 'showSensitive'> }) =>
  globals.showSensitive ? (text: string) => text : maskText
