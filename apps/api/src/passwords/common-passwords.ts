import { PASSWORD_LENGTH } from '@tidings/shared/user'
import { dictionary } from '@zxcvbn-ts/language-common'

/** Shorter entries are left out: their length already refuses them. */
const COMMON = new Set(dictionary['passwords-common'].filter((word) => word.length >= PASSWORD_LENGTH.min))

/** Tells whether a password, in any case, is on the list of common passwords. */
export function isCommonPassword(password: string): boolean {
  return COMMON.has(password.toLowerCase())
}
