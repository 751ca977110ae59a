import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { Page } from './context.ts'

// Tagged templates, not JSX: Node.js strips types from .ts files and does not run .tsx files.

/** Markup that is escaped already. */
export type Markup = ReturnType<typeof html>

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #6b6b6b; --accent: #0b5cad; --alarm: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #16181b; --line: #9a9a9a; --accent: #8ec5ff; --alarm: #ff9a91 }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.125rem/1.5 system-ui, sans-serif }
main { max-width: 32rem; margin: 0 auto; padding: 2rem 1rem }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem }
h2 { font-size: 1.125rem; margin: 0 0 .25rem }
label { display: block; font-weight: 600; margin-top: 1.5rem }
.hint { margin: 0 0 .5rem }
input { box-sizing: border-box; width: 100%; padding: .625rem; border: 2px solid var(--line); border-radius: .25rem;
  background: var(--paper); color: var(--ink); font: inherit }
input[aria-invalid] { border-color: var(--alarm) }
button { margin-top: 1.5rem; padding: .75rem 1.25rem; border: 2px solid var(--accent); border-radius: .25rem;
  background: var(--accent); color: var(--paper); font: inherit; font-weight: 600; cursor: pointer }
.errors { border: 3px solid var(--alarm); border-radius: .25rem; padding: 1rem; margin-bottom: 1.5rem }
.errors p, .errors ul { margin: 0 }
a { color: var(--accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** The page holds no script, loads nothing, and posts only to the API that served it. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src data:; base-uri 'none'; ` +
    "form-action 'self'; frame-ancestors 'none'",
  'x-robots-tag': 'noindex, nofollow',
} as const

/** Makes a page. @param title also its heading. */
export function layOut(title: string, content: Markup, { isError = false } = {}): Page {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${isError ? 'Error: ' : ''}${title}</title>
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
  // Only a promise among the values makes a promise of the template.
  if (page instanceof Promise) throw new TypeError('A page must not wait for anything')
  return { html: page.toString(), headers: { ...HEADERS } }
}
