/** RFC 3463: class, subject, detail. Only of failures. */
const ENHANCED = /(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)/
/** RFC 5321: the three digits that a reply starts with, also behind a word such as `smtp;`. */
const REPLY = /(?:^|[\s;:(])([45]\d\d)(?=[\s-]|$)/

/**
 * The most telling code of a mail server's answer: the enhanced one, else the reply's, else undefined.
 *
 * @param status the enhanced code, where the provider names it by itself.
 */
export function findSmtpCode(answer: string | undefined, status?: string): string | undefined {
  for (const text of [status, answer?.slice(0, 1000)]) {
    const found = ENHANCED.exec(text ?? '') ?? REPLY.exec(text ?? '')
    if (found !== null) return found[1]
  }
  return undefined
}
