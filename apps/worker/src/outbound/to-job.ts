import type { ClaimedMessage } from '@tidings/db/users/claim-messages'
import { OUTBOUND_LINKS, type OutboundJob } from '@tidings/shared/outbound-message'

/**
 * Makes the job of a message. Only here does the token meet the link.
 *
 * @param baseUrl where the pages of the links are, with or without a slash at its end.
 */
export function toJob(message: ClaimedMessage, baseUrl: string): OutboundJob {
  const { id, kind, to, userId, locale, variables, token, expiresAt } = message
  const path = OUTBOUND_LINKS[kind]?.path
  const link = path && token && `${baseUrl.replace(/\/+$/, '')}${path}?token=${token}`
  return {
    v: 1,
    id,
    kind,
    to,
    user_id: userId,
    locale,
    variables: { ...variables, ...(link && { link }) },
    expires_at: expiresAt.toISOString(),
  }
}
