import { AppError } from '@tidings/shared/errors'

/**
 * Time until the queues are searched again for an erased user, in milliseconds. The worker may be writing to them during
 * the first search: it may bury a dead letter without an owner, whose texts it does not read, or relay a message.
 */
export const REPEAT_AFTER_MS = 15_000

export const cannotErase = (cause: unknown) =>
  new AppError('unavailable', 'The account cannot be erased completely right now. Try again shortly.', {
    cause,
  })
