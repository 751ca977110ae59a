import { describeInBrowser } from '@tidings/api/testing/browser'
import { startTestApi } from '@tidings/api/testing/test-api'
import { OUTBOUND_LINKS, type OutboundKind } from '@tidings/shared/outbound-message'
import { startMailbox } from '@tidings/stack/dev/mailbox'
import { sendMails } from '@tidings/stack/testing/send-mails'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { renderMail } from './templates/render-mail.ts'

/** Where to write docs/images/mailbox.png, if set. */
const screenshotPath = process.env.SCREENSHOT_PATH

describeInBrowser('the mailbox', (launch) => {
  const releaser = useReleaser()

  test('shows a mail as it looks, opens its link in a new tab, and blocks nothing of its own', async () => {
    const mailbox = releaser.add(await startMailbox(), (it) => it.close())
    const api = await startTestApi(releaser, { DEV_MAILBOX_URL: mailbox.url })
    const makeMail = (kind: OutboundKind, to: string) => {
      const link = `${api.apiUrl}${OUTBOUND_LINKS[kind]?.path ?? ''}?token=k3Jw0gQm_a7XbTz1Rr5Yt-Nc2Vd9Lh4Ps6Ue8FiGoQy`
      const variables = { name: 'Ann', link, device: 'Firefox on Linux' }
      return { to, ...renderMail({ kind, locale: 'en', variables }) }
    }
    await sendMails(mailbox.smtpUrl, [
      makeMail('new_device', 'ann@example.com'),
      makeMail('password_reset', 'bob@example.com'),
      makeMail('email_verification', 'ann@example.com'),
    ])
    const browser = await launch(releaser)
    const page = await browser.newPage({ viewport: { width: 1120, height: 700 } })
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    // Playwright itself tries to run scripts in the frame of the mail.
    page.on('console', (message) => {
      if (!message.text().startsWith('Blocked script execution')) complaints.push(message.text())
    })
    await page.goto(`${api.apiUrl}/dev/mailbox/`)
    await page.getByRole('heading', { name: 'Confirm your e-mail address' }).first().waitFor()
    const mail = page.frameLocator('iframe')
    const button = mail.getByRole('link', { name: 'Confirm the address' })
    await button.waitFor()
    // The styles of the mail and of the page apply: padding makes the link a button, and the list is a column.
    expect((await button.boundingBox())?.height).toBeGreaterThan(40)
    expect((await page.locator('nav').boundingBox())?.width).toBe(384)
    if (screenshotPath !== undefined) await page.screenshot({ path: screenshotPath })

    const opening = page.context().waitForEvent('page')
    await button.click()
    const opened = await opening
    await opened.waitForLoadState()
    expect(new URL(opened.url()).pathname).toBe('/verify-email')

    await page.getByRole('link', { name: /Reset your password/ }).focus()
    await page.keyboard.press('Enter')
    await page.frameLocator('iframe').getByRole('link', { name: 'Choose a new password' }).waitFor()
    expect(await page.locator('[aria-current]').textContent()).toContain('bob@example.com')
    expect(complaints).toEqual([])
  })
})
