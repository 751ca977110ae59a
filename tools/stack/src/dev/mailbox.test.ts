import { expect, test } from 'vitest'
import { sendMails } from '../testing/send-mails.ts'
import { useReleaser } from '../testing/test-context.ts'
import { type KeptMail, startMailbox } from './mailbox.ts'

const releaser = useReleaser()

test('keeps the last 500 mails, newest first, with their text and HTML', async () => {
  const mailbox = releaser.add(await startMailbox(), (it) => it.close())
  const readAll = async () => (await (await fetch(`${mailbox.url}/messages`)).json()) as KeptMail[]
  expect(await readAll()).toEqual([])
  await sendMails(
    mailbox.smtpUrl,
    Array.from({ length: 501 }, (_, n) => ({
      to: ['ann@example.com', 'bob@example.com'],
      subject: `Grüße ${n + 1}`,
      text: 'Zeile = eins\nhttps://example.com/?token=a_b-c',
      html: '<p>Grüße</p>',
    })),
  )
  const mails = await readAll()
  expect([mails.length, mails[0]?.subject, mails[499]?.subject]).toEqual([500, 'Grüße 501', 'Grüße 2'])
  expect(mails[0]).toEqual({
    id: expect.any(String),
    to: 'ann@example.com, bob@example.com',
    subject: 'Grüße 501',
    text: 'Zeile = eins\nhttps://example.com/?token=a_b-c\n',
    html: '<p>Grüße</p>\n',
    received_at: expect.stringMatching(/^\d{4}-.*Z$/),
  })
  expect((await fetch(mailbox.url)).status).toBe(404)
})
