import type { Database } from '@tidings/db/database'
import { addSuppressions } from '@tidings/db/suppressions/suppressions'
import { AppError } from '@tidings/shared/errors'
import { optional } from '@tidings/shared/optional'
import { categorySchema, userIdSchema } from '@tidings/shared/status-event'
import { MAX_RECIPIENTS, recipientSchema } from '@tidings/shared/suppression'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { MAX_BATCH_BODY_BYTES, readJson } from '../http/read-json.ts'
import { success } from '../http/respond.ts'
import { RecipientFinder } from '../suppressions/find-recipients.ts'
import { requireCategories } from '../users/require-categories.ts'
import { askPage, donePage, invalidPage } from './unsubscribe-page.ts'
import type { UnsubscribeTokens } from './unsubscribe-tokens.ts'

export interface UnsubscribeRouteDeps {
  authorize: Authorize
  db: Database
  /** See digestRecipient. */
  recipientKey: string
  /** Undefined when the installation has no key of its own. */
  unsubscribeTokens: UnsubscribeTokens | undefined
  /** Base URL at which recipients reach this API. */
  publicUrl: string
}

const linkRequestSchema = z
  .strictObject({
    recipient: optional(recipientSchema),
    user_id: optional(userIdSchema),
    /** Without it, the link unsubscribes from every message. */
    category: optional(categorySchema),
  })
  .refine(({ recipient, user_id }) => (recipient === undefined) !== (user_id === undefined), {
    error: 'Give exactly one of: recipient, user_id.',
  })

/** The body of POST /api/v1/unsubscribe-links/. Links are for e-mail. */
export const unsubscribeLinksSchema = z.strictObject({
  links: z.array(linkRequestSchema).min(1).max(MAX_RECIPIENTS),
})

/** A link, and the headers to put into the mail. Both are null for an unknown user. */
export const unsubscribeLinkSchema = z
  .strictObject({
    user_id: z.guid().nullable(),
    url: z.string().nullable(),
    headers: z
      .strictObject({ 'List-Unsubscribe': z.string(), 'List-Unsubscribe-Post': z.string() })
      .nullable(),
  })
  .meta({ id: 'UnsubscribeLink' })

/** Recorded as the origin of the suppression. */
const ORIGIN = 'unsubscribe-link'

/** Mints one-click unsubscribe links (RFC 8058), and serves them. */
export function unsubscribeRoutes(deps: UnsubscribeRouteDeps): Hono<ApiEnv> {
  const { authorize, db, recipientKey, publicUrl, unsubscribeTokens: tokens } = deps
  const app = new Hono<ApiEnv>({ strict: false })
  const recipients = new RecipientFinder({ db, recipientKey })

  app.post('/api/v1/unsubscribe-links', async (c) => {
    await authorize.service(c, 'users:read')
    const { links } = await readJson(c, unsubscribeLinksSchema, { maxBytes: MAX_BATCH_BODY_BYTES })
    const signer = requireTokens(tokens)
    const keys = links.flatMap(({ category }) => category ?? [])
    const categories = await requireCategories(db, keys, '/links')
    const required = categories.find((category) => category.required)
    if (required !== undefined) throw hasNoLink(required.key)
    const userIds = links.flatMap(({ user_id }) => user_id ?? [])
    const ofUsers = await recipients.findByUser('email', userIds)
    const answers = links.map(({ recipient, user_id = null, category = null }) => {
      const [digest] =
        recipient === undefined ? (ofUsers.get(user_id ?? '') ?? []) : [recipients.digest('email', recipient)]
      if (digest === undefined) return { user_id, url: null, headers: null }
      const url = new URL(`u/${signer.sign({ digest, category })}`, `${publicUrl.replace(/\/$/, '')}/`).href
      const headers = {
        'List-Unsubscribe': `<${url}>`,
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      }
      return { user_id, url, headers }
    })
    return success(200, 'Links.', answers)
  })

  app.get('/u/:token', (c) => {
    const found = tokens?.read(c.req.param('token'))
    return found === undefined ? invalidPage() : askPage(found.category)
  })

  // The body is not read: the token alone says what to do, and mail clients send several forms.
  app.post('/u/:token', async (c) => {
    const found = tokens?.read(c.req.param('token'))
    if (found === undefined) return invalidPage()
    await addSuppressions(db, [
      {
        ...found,
        channel: 'email',
        reason: 'unsubscribe',
        origin: ORIGIN,
        event_id: null,
        note: null,
        since: new Date(),
        until: null,
      },
    ])
    return donePage(found.category)
  })

  return app
}

/** The messages of a required category are sent whatever the user chose, so a page that promises otherwise would lie. */
function hasNoLink(category: string): AppError {
  const message = `A required category has no link to unsubscribe: ${category}.`
  return new AppError('validation_failed', message, {
    fields: [{ pointer: '/links', code: 'invalid', message }],
  })
}

/** @throws AppError `unavailable` when the installation has no key of its own. */
function requireTokens(tokens: UnsubscribeTokens | undefined): UnsubscribeTokens {
  if (tokens !== undefined) return tokens
  throw new AppError(
    'unavailable',
    'Unsubscribe links need a secret RECIPIENT_KEY. Ask the operator to set it.',
  )
}
