import type { UserRow } from '@tidings/db/users/users'
import type { CliContext } from '../../context.ts'
import { createMask } from '../../mask-output.ts'
import { formatCount } from '../../terminal/format.ts'

/** Says which user a change is about, before the question. */
export function sayUser(context: CliContext, { id, email, name }: UserRow, verb: string): void {
  const mask = createMask(context)
  context.terminal.say(`${verb}: ${id}  ${mask(email)}  ${mask(name)}`)
}

/** `1 session`, `2 sessions`. */
export const sessionCount = (count: number) => `${formatCount(count)} ${count === 1 ? 'session' : 'sessions'}`
