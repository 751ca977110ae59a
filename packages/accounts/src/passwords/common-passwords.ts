import { dictionary } from '@zxcvbn-ts/language-common'

const COMMON = new Set(dictionary['passwords-common'])

/** Tells whether a text in lower case is on the list of common passwords. */
export function isCommonPassword(text: string): boolean {
  return COMMON.has(text)
}
