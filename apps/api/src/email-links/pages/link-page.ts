import type { AppError, ErrorCode } from '@tidings/shared/errors'
import { html } from 'hono/html'
import type { Page } from '../../http/context.ts'
import { layOut, type Markup } from '../../http/page-layout.ts'

/** The texts of the page behind a link. */
export interface LinkPage {
  title: string
  /** What the button will do. */
  explanation: string
  button: string
  /** Asks for a new password. */
  hasPassword: boolean
  done: { title: string; text: string }
  /** What to do when the link does not work. */
  next: string
}

/** Another attempt with the same link gets the same answer. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['invalid_token', 'email_taken'])

/** The form that acts when it is posted. Showing it changes nothing, because mail scanners open every link. */
export function showForm(page: LinkPage, path: string, token: string, error?: AppError): Page {
  const content = html`${error === undefined ? '' : errorSummary(page, error)}<p>${page.explanation}</p>
<form method="post" action="${path}">
<input type="hidden" name="token" value="${token}">
${page.hasPassword ? passwordField(error !== undefined && error.fields.length > 0) : ''}
<button type="submit">${page.button}</button>
</form>`
  return layOut(page.title, content, { isError: error !== undefined })
}

/** Shows a refusal: with the form, if another attempt may succeed and the token is known. */
export function showError(page: LinkPage, path: string, token: string | undefined, error: AppError): Page {
  if (token !== undefined && !FINAL.has(error.code)) return showForm(page, path, token, error)
  const [title, text] =
    error.code === 'invalid_token'
      ? ['This link does not work', 'It was used, is too old, or was not copied in full.']
      : ['This did not work', error.message]
  return layOut(title, html`<p>${text}</p><p>${page.next}</p>`, { isError: true })
}

export const showDone = ({ done }: LinkPage): Page => layOut(done.title, html`<p>${done.text}</p>`)

/** Takes the focus, so that a screen reader reads it first. */
function errorSummary({ hasPassword }: LinkPage, { message, fields }: AppError): Markup {
  const messages = fields.length > 0 && hasPassword ? fields.map((field) => field.message) : [message]
  const shown = messages.map((text) =>
    fields.length > 0 && hasPassword
      ? html`<li><a href="#password">${text}</a></li>`
      : html`<li>${text}</li>`,
  )
  return html`<div class="errors" role="alert" tabindex="-1" autofocus>
<h2>There is a problem</h2>
<ul id="problems">${shown}</ul>
</div>
`
}

const passwordField = (isInvalid: boolean): Markup => html`<label for="password">New password</label>
<p class="hint" id="hint">At least 8 characters. Use several words that nobody would guess.</p>
<input id="password" name="password" type="password" autocomplete="new-password" required minlength="8"
aria-describedby="${isInvalid ? 'problems hint' : 'hint'}"${isInvalid ? html` aria-invalid="true"` : ''}>
`
