import { AppError } from '@tidings/shared/errors'

/** The refusal of a user who must verify the address first. Only a caller that proved to be the user may get it. */
export const emailNotVerified = () =>
  new AppError('email_not_verified', 'Verify the e-mail address first, with the link that was sent to it.')
