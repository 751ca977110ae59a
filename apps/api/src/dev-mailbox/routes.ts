import { Hono } from 'hono'
import type { ApiEnv } from '../http/context.ts'
import { notFound } from '../http/read-query.ts'
import { MAIL_POLICY, MAILBOX_PATH, openLinksInTabs, PAGE_POLICY, renderMailbox } from './page.ts'
import { readMailbox } from './read-mailbox.ts'

/**
 * The local mailbox of npm start. It shows mails with working links to everybody, so it is mounted only where
 * DEV_MAILBOX_URL is set.
 */
export function devMailboxRoutes(mailboxUrl: string): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  app.get(MAILBOX_PATH, async (c) => {
    const page = renderMailbox(await readMailbox(mailboxUrl), c.req.query('message'))
    return c.html(page, 200, { 'content-security-policy': PAGE_POLICY })
  })
  app.get(`${MAILBOX_PATH}/messages`, async (c) => {
    const mails = await readMailbox(mailboxUrl)
    return c.json(mails.map(({ id: _id, ...mail }) => mail))
  })
  app.get(`${MAILBOX_PATH}/messages/:id/html`, async (c) => {
    const mail = (await readMailbox(mailboxUrl)).find(({ id }) => id === c.req.param('id'))
    if (mail === undefined) throw notFound()
    return c.html(openLinksInTabs(mail.html), 200, { 'content-security-policy': MAIL_POLICY })
  })
  return app
}
