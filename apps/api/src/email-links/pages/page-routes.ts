import { passwordFormSchema } from '@tidings/shared/email-links'
import { type LinkPurpose, OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import { parseValue } from '@tidings/shared/parse-value'
import { Hono } from 'hono'
import type { ApiEnv, Page } from '../../http/context.ts'
import { readForm } from '../../http/read-form.ts'
import { type Client, readClient } from '../../sessions/client.ts'
import { confirmEmailChange, undoEmailChange } from '../change-email.ts'
import type { EmailLinkRouteDeps } from '../email-link-routes.ts'
import { invalidToken } from '../invalid-token.ts'
import { resetPassword } from '../reset-password.ts'
import { verifyEmail } from '../verify-email.ts'
import { showDone, showError, showForm } from './link-page.ts'
import { PAGES } from './texts.ts'

/** Does what a page is for, with the token and the other fields of its form. */
type Act = (token: string, form: URLSearchParams, client: Client) => Promise<void>

/**
 * Routes for the pages behind the links in messages: GET shows a form, POST acts. They need no protection from forged
 * requests: the token is the only credential, and another site does not know it.
 */
export function linkPageRoutes(deps: EmailLinkRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const acts: Readonly<Record<LinkPurpose, Act>> = {
    password_reset(token, form, client) {
      const { password } = parseValue(passwordFormSchema, { password: form.get('password') ?? '' })
      return resetPassword(deps, { token, password }, client)
    },
    email_verification: (token) => verifyEmail(deps, token),
    email_change: (token, _form, client) => confirmEmailChange(deps, token, client),
    email_undo: (token) => undoEmailChange(deps, token),
  }

  for (const { path, purpose } of Object.values(OUTBOUND_LINKS)) {
    const page = PAGES[purpose]

    app.get(path, (c) => {
      c.env.showError = (error) => showError(page, path, undefined, error)
      const token = requireShape(c.req.query('token'))
      return respond(showForm(page, path, token))
    })

    app.post(path, async (c) => {
      c.env.showError = (error) => showError(page, path, undefined, error)
      const form = await readForm(c)
      const token = requireShape(form.get('token'))
      c.env.showError = (error) => showError(page, path, token, error)
      await acts[purpose](token, form, readClient(c, deps.clientAddress))
      return respond(showDone(page))
    })
  }
  return app
}

/** The page repeats the token in its form, so it must look like one. */
function requireShape(token: string | null | undefined): string {
  if (!/^[\w-]{1,64}$/.test(token ?? '')) throw invalidToken()
  return token ?? ''
}

const respond = ({ html, headers }: Page) => new Response(html, { headers })
