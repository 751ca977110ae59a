import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'

const STYLE = `
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
main { max-width: 32rem; margin: 4rem auto; padding: 0 1.5rem; }
button { font: inherit; padding: 0.6rem 1.4rem; border: 2px solid; border-radius: 0.4rem; cursor: pointer; }
button:focus-visible { outline: 3px solid; outline-offset: 3px; }
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'x-robots-tag': 'noindex, nofollow',
}

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

async function respond(status: 200 | 404, title: string, content: ReturnType<typeof html>) {
  const page = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${content}
</main>
</body>
</html>
`
  return new Response(String(page), { status, headers: HEADERS })
}
