import { AppError } from '@tidings/shared/errors'
import { PASSWORD_LENGTH } from '@tidings/shared/user'
import { isCommonPassword } from './common-passwords.ts'

/** `aaaaaaaa`, `abcabcabc` and `87654321` are guessed as fast as short passwords. */
const MIN_DIFFERENT_CHARACTERS = 5
/** Digits and signs before and after a word that do not make it harder to guess: `P@ssw0rd!`, `sunshine2026`. */
const MAX_DECORATION = 4
/** A shorter word with its decoration is below the shortest password. */
const MIN_WORD_LENGTH = PASSWORD_LENGTH.min - MAX_DECORATION
/** Longer than every name and address. It bounds the work for a password of 1,024 characters. */
const MAX_WORD_LENGTH = 256

/**
 * Refuses a new password that is easy to guess. The schema already checks its length.
 *
 * @throws AppError `validation_failed` at `field`.
 */
export function requireStrongPassword(
  password: string,
  owner: { email: string; name: string },
  field: string,
): void {
  if (countUnpredictable(password) < MIN_DIFFERENT_CHARACTERS) {
    const message = `Use at least ${MIN_DIFFERENT_CHARACTERS} different characters that are no sequence.`
    refuse(field, 'repetitive_password', message)
  }
  const words = readingsOf(password)
  if (words.some(isCommonPassword)) refuse(field, 'common_password', 'This password is too common.')
  const own = new Set(wordsOf(owner))
  if (words.some((word) => own.has(word))) {
    refuse(field, 'password_is_identity', 'The password must not be made of your name or e-mail address.')
  }
}

const simplify = (text: string) => text.normalize('NFKC').toLowerCase()
const withoutSigns = (text: string) => text.replaceAll(/[^\p{L}\p{N}]/gu, '')

/** Counts the different characters. One that repeats or continues its predecessor, as b after a, does not count. */
function countUnpredictable(password: string): number {
  const codes = Array.from(simplify(password), (character) => character.codePointAt(0) ?? 0)
  return new Set(codes.filter((code, i) => Math.abs(code - (codes[i - 1] ?? -2)) > 1)).size
}

const NO_LETTER = /^\P{L}*$/u

/** The words that a password may stand for: without up to MAX_DECORATION digits and signs around it, and spelled out. */
function readingsOf(password: string): string[] {
  const characters = [...simplify(password)]
  if (characters.length > MAX_WORD_LENGTH + MAX_DECORATION) return []
  const words: string[] = []
  for (let before = 0; before <= MAX_DECORATION; before++) {
    for (let after = 0; before + after <= MAX_DECORATION; after++) {
      const end = characters.length - after
      const decoration = [...characters.slice(0, before), ...characters.slice(end)].join('')
      if (!NO_LETTER.test(decoration)) continue
      const word = characters.slice(before, end)
      words.push(word.join(''), spellOut(word, 'i'), spellOut(word, 'l'))
    }
  }
  return [...words, ...words.map(withoutSigns)].filter((word) => word.length >= MIN_WORD_LENGTH)
}

const LOOKALIKES: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '!': 'i',
  '0': 'o',
  $: 's',
  '5': 's',
  '7': 't',
}

/** Replaces digits and signs by the letters they look like. `one` is what a 1 stands for. */
const spellOut = (characters: readonly string[], one: 'i' | 'l') =>
  characters.map((character) => (character === '1' ? one : (LOOKALIKES[character] ?? character))).join('')

/** The address and the name, whole and in parts. */
function wordsOf({ email, name }: { email: string; name: string }): string[] {
  const [localPart = ''] = email.split('@', 1)
  const words = [email, localPart, name].map(simplify)
  const parts = simplify(`${localPart} ${name}`).split(/[^\p{L}\p{N}]+/u)
  return [...words, ...words.map(withoutSigns), ...parts]
}

function refuse(field: string, code: string, message: string): never {
  throw new AppError('validation_failed', 'The request is not valid.', {
    fields: [{ pointer: `/${field}`, code, message }],
  })
}
