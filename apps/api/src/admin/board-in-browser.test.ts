import { mkdir } from 'node:fs/promises'
import { openQueue } from '@tidings/queue/backend'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import { bury, makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { describeInBrowser } from '../testing/browser.ts'
import { startTestApi } from '../testing/test-api.ts'

/** Where to write the picture for docs/dead-letters.md, if set. */
const screenshotPath = process.env.SCREENSHOT_PATH

describeInBrowser('the board', (launch) => {
  const releaser = useReleaser()

  test('shows both queues without an error on the page', async () => {
    const api = await startTestApi(releaser, { ADMIN_UI_ENABLED: 'true' })
    const dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, api.backend, undefined, {
      onError: () => undefined,
    })
    releaser.onRelease(() => dead.close())
    const failedEvents = Array.from({ length: 8 }, () => makeFailedEvent())
    await bury(dead, failedEvents)
    const browser = await launch(releaser)
    const page = await browser.newPage({
      viewport: { width: 1280, height: 800 },
      httpCredentials: { username: 'ops', password: await api.createKey('dlq:read') },
    })
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(error.message))
    await page.goto(`${api.apiUrl}/admin/queues/queue/${DEAD_LETTER_QUEUE}?status=prioritized`)
    await page.getByText(`dead-${failedEvents[0]?.eventId}`).first().waitFor({ timeout: 60_000 })
    expect(await page.getByText('status-events', { exact: true }).count()).toBeGreaterThan(0)
    expect(errors).toEqual([])
    if (screenshotPath !== undefined) {
      await mkdir(new URL('.', `file://${screenshotPath}`), { recursive: true })
      await page.screenshot({ path: screenshotPath })
    }
  })
})
