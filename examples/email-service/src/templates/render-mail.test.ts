import { OUTBOUND_KINDS, OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { html } from './html.ts'
import { renderMail } from './render-mail.ts'

const LINK = 'https://app.example.com/reset-password?token=a_b-c&x=1'

describe.each(OUTBOUND_KINDS)('the mail %s', (kind) => {
  const hasLink = OUTBOUND_LINKS[kind] !== undefined

  test('holds its link as text and as a link, if it has one', () => {
    for (const locale of ['en', 'de']) {
      const mail = renderMail({ kind, locale, variables: { name: 'Ann', link: LINK } })
      expect(mail.text.includes(`\n${LINK}\n`)).toBe(hasLink)
      expect(mail.html.includes(`href="${LINK.replace('&', '&amp;')}"`)).toBe(hasLink)
      expect(mail.html).toContain(`<html lang="${locale}">`)
    }
  })

  test('is in English where its language is missing', () => {
    const english = renderMail({ kind, locale: 'en', variables: {} })
    for (const locale of ['fr', 'pt-BR', '', 'constructor'])
      expect(renderMail({ kind, locale, variables: {} })).toEqual(english)
    expect(renderMail({ kind, locale: 'de-AT', variables: {} }).subject).not.toBe(english.subject)
  })
})

test('no variable can add an element or an attribute', () => {
  const text = fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', 'a', ' ', '=', '/') })
  const variables = fc.record({ name: text, device: text, address: text, new_email: text, link: text })
  const count = (rendered: string) => rendered.split(/[<>"]/).length
  fc.assert(
    fc.property(fc.constantFrom(...OUTBOUND_KINDS), variables, (kind, values) => {
      const plain = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value && 'x']))
      const rendered = renderMail({ kind, locale: 'en', variables: values })
      expect(count(rendered.html)).toBe(count(renderMail({ kind, locale: 'en', variables: plain }).html))
      expect(rendered.subject).not.toMatch(/[\r\n]/)
    }),
  )
})

test('the tag escapes every value but its own HTML', () => {
  expect(html`<p title="${'"'}">${"<&'>"}${[html`<b>${'>'}</b>`, html`!`]}</p>`.text).toBe(
    '<p title="&quot;">&lt;&amp;&#39;&gt;<b>&gt;</b>!</p>',
  )
})
