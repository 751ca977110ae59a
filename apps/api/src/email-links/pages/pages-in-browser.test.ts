import { mkdir } from 'node:fs/promises'
import { useReleaser } from '@tidings/stack/testing/test-context'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { describeInBrowser } from '../../testing/browser.ts'
import { emailLinks } from '../../testing/email-links.ts'
import { attemptLogin, readMe, register } from '../../testing/http.ts'
import { Mailbox } from '../../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../../testing/test-api.ts'

/** A folder for pictures of the pages, if set. */
const screenshotFolder = process.env.SCREENSHOT_FOLDER

describeInBrowser('the pages behind links', (launch) => {
  const releaser = useReleaser()
  let api: TestApi
  let page: Page
  /** Errors of the page, and what its policy blocked. */
  const problems: string[] = []
  beforeAll(async () => {
    api = await startTestApi(releaser)
    const browser = await launch(releaser)
    // Without scripts: the pages need none.
    page = await browser.newPage({ javaScriptEnabled: false, viewport: { width: 800, height: 700 } })
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => {
      // Chromium reports a refused form's status as an error, too.
      if (message.type() === 'error' && !message.text().includes('400')) problems.push(message.text())
    })
  })

  async function photograph(name: string) {
    if (screenshotFolder === undefined) return
    await mkdir(screenshotFolder, { recursive: true })
    await page.screenshot({ path: `${screenshotFolder}/${name}.png` })
  }

  const focused = () => page.locator(':focus')

  test('reset a password with the keyboard alone', async () => {
    const user = await register(api.apiUrl)
    await emailLinks(api.apiUrl).requestReset(user.email)
    const token = await new Mailbox(api.database).readToken(user.email, 'password_reset')
    await page.goto(`${api.apiUrl}/reset-password?token=${token}`)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Choose a new password')
    await photograph('reset-password')
    await page.keyboard.press('Tab')
    expect(await focused().getAttribute('autocomplete')).toBe('new-password')
    await page.keyboard.type('password123')
    await page.keyboard.press('Enter')

    await page.getByRole('alert').waitFor()
    expect(new URL(page.url()).search).toBe('')
    expect(await focused().getAttribute('role')).toBe('alert')
    const field = page.getByLabel('New password')
    expect(await field.getAttribute('aria-invalid')).toBe('true')
    await photograph('reset-password-refused')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await focused().getAttribute('id')).toBe('password')
    await page.keyboard.type('another fine passphrase 9')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Password changed' }).waitFor()
    await photograph('reset-password-done')
    expect((await attemptLogin(api.apiUrl, user.email, 'another fine passphrase 9')).status).toBe(200)
  })

  test('verify an address with one click, and say when the link was used', async () => {
    const user = await register(api.apiUrl)
    const token = await new Mailbox(api.database).readToken(user.email, 'email_verification')
    const open = () => page.goto(`${api.apiUrl}/verify-email?token=${token}`)
    await open()
    await photograph('verify-email')
    const button = page.getByRole('button', { name: 'Verify the address' })
    await button.click()
    await page.getByRole('heading', { name: 'Address verified' }).waitFor()
    expect((await readMe(api.apiUrl, user.token)).body.data.email_verified_at).toEqual(expect.any(String))
    await open()
    await button.click()
    await page.getByRole('heading', { name: 'This link does not work' }).waitFor()
    await photograph('link-used')
  })

  test('are styled, and nothing on them was blocked', async () => {
    await page.goto(`${api.apiUrl}/undo-email?token=x`)
    await photograph('undo-email')
    const box = await page.getByRole('main').boundingBox()
    // The width of the style: without it the text would fill the window.
    expect(box?.width).toBeLessThan(700)
    expect(problems).toEqual([])
  })
})
