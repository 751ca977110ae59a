import { AppError } from '@tidings/shared/errors'

/** The refusal of other content under an idempotency key that is taken. */
export function keyConflict(): AppError {
  return new AppError('conflict', 'This idempotency key was used before with other content.')
}
