import type { OutboundJob } from '@tidings/shared/outbound-message'
import { Html, html } from './html.ts'
import { languageOf } from './texts.ts'

interface RenderedMail {
  subject: string
  text: string
  html: string
}

const BUTTON =
  'display:inline-block;padding:12px 20px;border-radius:6px;background:#1d4ed8;color:#ffffff;text-decoration:none;font-weight:600'
const BODY = 'margin:0;padding:24px;background:#f3f4f6;font:16px/1.5 system-ui,sans-serif;color:#111827'
const CARD = 'max-width:32rem;margin:0 auto;padding:24px;border-radius:8px;background:#ffffff'

/** Renders a message as text and as HTML, in its language or in English. Its variables may hold anything. */
export function renderMail({
  kind,
  locale,
  variables,
}: Pick<OutboundJob, 'kind' | 'locale' | 'variables'>): RenderedMail {
  const { tag, language } = languageOf(locale)
  const { subject, before, button, after } = language.kinds[kind]
  const { link } = variables
  const paragraphs = [language.greeting(variables.name), ...before(variables)]
  const linkLines = button && link ? [`${button}:\n${link}`] : []
  const linkHtml =
    button && link
      ? html`<p style="margin:24px 0"><a href="${link}" style="${BUTTON}">${button}</a></p>
<p style="font-size:14px;color:#4b5563">${language.linkHint}<br><a href="${link}" style="color:#1d4ed8;word-break:break-all">${link}</a></p>`
      : new Html('')
  const toParagraph = (line: string) => html`<p>${line}</p>\n`
  return {
    subject,
    text: `${[...paragraphs, ...linkLines, ...after].join('\n\n')}\n`,
    html: html`<!doctype html>
<html lang="${tag}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${subject}</title></head>
<body style="${BODY}">
<div style="${CARD}">
<h1 style="margin-top:0;font-size:20px">${subject}</h1>
${paragraphs.map(toParagraph)}${linkHtml}
${after.map(toParagraph)}</div>
</body>
</html>
`.text,
  }
}
