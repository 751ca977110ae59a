import { DEFAULT_LOCALE } from '@tidings/shared/outbound-message'

/** The longest that RFC 5646, section 4.4.1, asks programs to hold. */
const MAX_LENGTH = 35

/** Reads the first language of an Accept-Language header, in canonical form. @returns `en` without a well-formed one. */
export function readLocale(acceptLanguage: string | undefined): string {
  const [first = ''] = (acceptLanguage ?? '').split(/[,;]/, 1)
  const tag = first.trim()
  if (tag === '' || tag.length > MAX_LENGTH) return DEFAULT_LOCALE
  try {
    const [canonical = ''] = Intl.getCanonicalLocales(tag)
    return canonical.length <= MAX_LENGTH ? canonical : DEFAULT_LOCALE
  } catch {
    return DEFAULT_LOCALE
  }
}
