import { wholeNumber } from '@tidings/runtime/env'

/** The minimum of NIST SP 800-132, section 5.2. It refuses a mistyped value; the default is what OWASP recommends. */
const MIN_PASSWORD_ITERATIONS = 1_000

/** Variables of accounts that the API and the CLI read. */
export const accountEnvFields = {
  PASSWORD_ITERATIONS: wholeNumber(MIN_PASSWORD_ITERATIONS, 10_000_000).default(600_000),
  /** Wrong passwords an hour for one account, over all addresses. */
  RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT: wholeNumber(1).default(30),
}
