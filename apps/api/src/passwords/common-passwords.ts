import { PASSWORD_LENGTH } from '@tidings/shared/user'
import { dictionary } from '@zxcvbn-ts/language-common'

/** The shorter ones are refused for their length already. */
const COMMON = new Set(dictionary['passwords-common'].filter((word) => word.length >= PASSWORD_LENGTH.min))

/** Whether a password is among those tried first by anybody who guesses, whatever its case. */
export function isCommonPassword(password: string): boolean {
  return COMMON.has(password.toLowerCase())
}
