import { html } from 'hono/html'
import { layOut, type Markup } from '../http/page-layout.ts'

/** The page behind a link. A GET changes nothing, because mail scanners follow links: only the button does. */
export const askPage = (category: string | null) =>
  respond(
    200,
    'Unsubscribe',
    html`<p>Do you want to stop getting ${describe(category)}?</p>
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button>
</form>`,
  )

export const donePage = (category: string | null) =>
  respond(200, 'You are unsubscribed', html`<p>You will not get ${describe(category)} any more.</p>`)

export const invalidPage = () =>
  respond(
    404,
    'This link does not work',
    html`<p>It is not complete. Open the link in the message again, or copy all of it.</p>`,
  )

const describe = (category: string | null) =>
  category === null ? 'these messages' : html`messages of the kind “${category}”`

function respond(status: 200 | 404, title: string, content: Markup): Response {
  const page = layOut(title, content, { isError: status === 404 })
  return new Response(page.html, { status, headers: page.headers })
}
