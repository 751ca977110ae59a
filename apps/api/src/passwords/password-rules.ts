import { AppError } from '@tidings/shared/errors'
import { isCommonPassword } from './common-passwords.ts'

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
  const lower = password.toLowerCase()
  if (isCommonPassword(password)) refuse(field, 'common_password', 'This password is too common.')
  const [localPart = ''] = owner.email.split('@', 1)
  const own = [owner.email, localPart, owner.name, owner.name.replaceAll(/\s/g, '')]
  if (own.some((text) => text.toLowerCase() === lower)) {
    refuse(field, 'password_is_identity', 'The password must not be your name or e-mail address.')
  }
}

function refuse(field: string, code: string, message: string): never {
  throw new AppError('validation_failed', 'The request is not valid.', {
    fields: [{ pointer: `/${field}`, code, message }],
  })
}
