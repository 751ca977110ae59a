import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { Mail } from './read-mailbox.ts'

export const MAILBOX_PATH = '/dev/mailbox'

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d1d5db, #374151); --soft: light-dark(#f3f4f6, #1f2937);
  --text: light-dark(#111827, #f3f4f6); --quiet: light-dark(#4b5563, #9ca3af); --accent: light-dark(#1d4ed8, #93c5fd); }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: light-dark(#ffffff, #111827) }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; padding: 1rem 1.5rem;
  border-bottom: 1px solid var(--line) }
h1 { margin: 0; font-size: 1.25rem } h2 { margin: 0 0 .5rem; font-size: 1.25rem; overflow-wrap: anywhere }
header p { margin: 0; color: var(--quiet); flex: 1 }
a { color: var(--accent) }
a:focus-visible, summary:focus-visible, iframe:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.columns { display: grid; grid-template-columns: minmax(16rem, 24rem) 1fr; min-height: calc(100vh - 4rem) }
nav { border-right: 1px solid var(--line); overflow: auto; max-height: calc(100vh - 4rem) }
nav ol { list-style: none; margin: 0; padding: 0 }
nav a { display: block; padding: .75rem 1.5rem; border-bottom: 1px solid var(--line); color: inherit;
  text-decoration: none; overflow-wrap: anywhere }
nav a:hover { background: var(--soft) }
nav a[aria-current] { background: var(--soft); box-shadow: inset 4px 0 var(--accent) }
nav strong, nav span { display: block } nav span { color: var(--quiet); font-size: .875rem }
main { padding: 1.5rem; min-width: 0 }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 1rem; margin: 0 0 1rem } dt { color: var(--quiet) }
dd { margin: 0; overflow-wrap: anywhere }
iframe { width: 100%; height: 34rem; border: 1px solid var(--line); border-radius: 8px; background: #ffffff;
  color-scheme: light }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border-radius: 8px; background: var(--soft) }
summary { margin-top: 1rem; cursor: pointer }
@media (max-width: 45rem) { .columns { grid-template-columns: 1fr } nav { max-height: 40vh; border-right: 0 } }
`

/** Allows this style and frames of this site. No script runs. */
export const PAGE_POLICY =
  `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
  "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** For the HTML of a mail: its inline styles apply, its links open in a new tab, nothing runs or loads. */
export const MAIL_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; " +
  'sandbox allow-popups allow-popups-to-escape-sandbox'

/** Renders the list of mails beside one of them: the selected one, or the newest if none has this id. */
export function renderMailbox(mails: readonly Mail[], selectedId: string | undefined) {
  const selected = mails.find(({ id }) => id === selectedId) ?? mails[0]
  const content = selected === undefined ? EMPTY : renderColumns(mails, selected)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mailbox (${mails.length}) – Tidings</title>
<link rel="icon" href="data:,">
<style>${raw(STYLE)}</style>
</head>
<body>
<header>
<h1>Mailbox</h1>
<p>Mails of this npm start. They were sent to nobody.</p>
<a href="${MAILBOX_PATH}/">Reload</a>
</header>
${content}
</body>
</html>
`
}

const EMPTY = html`<main><h2>No mail yet</h2><p>Register a user, and the mail appears here.</p></main>`

const renderColumns = (mails: readonly Mail[], selected: Mail) => html`<div class="columns">
<nav aria-label="Mails"><ol>${mails.map((mail) => renderItem(mail, mail === selected))}</ol></nav>
${renderMail(selected)}
</div>`

const renderItem = ({ id, subject, to, received_at }: Mail, isSelected: boolean) =>
  html`<li><a href="${MAILBOX_PATH}/?message=${id}"${isSelected ? raw(' aria-current="true"') : ''}>
<strong>${subject}</strong><span>${to}</span><span>${renderTime(received_at)}</span></a></li>`

const renderMail = ({ id, subject, to, text, received_at }: Mail) => html`<main>
<h2>${subject}</h2>
<dl><dt>To</dt><dd>${to}</dd><dt>Received</dt><dd>${renderTime(received_at)}</dd></dl>
<iframe src="${MAILBOX_PATH}/messages/${id}/html" title="The mail as HTML" sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
<details><summary>The mail as plain text</summary><pre>${text}</pre></details>
</main>`

const renderTime = (iso: string) =>
  html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`

/** Makes every link of a mail's HTML open in a new tab. */
export const openLinksInTabs = (mailHtml: string): string =>
  /<head[^>]*>/i.test(mailHtml)
    ? mailHtml.replace(/<head[^>]*>/i, (head) => `${head}<base target="_blank">`)
    : `<base target="_blank">${mailHtml}`
