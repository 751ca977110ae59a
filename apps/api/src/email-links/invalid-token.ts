import { AppError } from '@tidings/shared/errors'

/** One refusal for every token that does not work, so that it tells nothing. */
export const invalidToken = () =>
  new AppError('invalid_token', 'This link does not work. It was used, is too old or is incomplete.')
