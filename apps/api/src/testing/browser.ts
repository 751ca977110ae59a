import { existsSync } from 'node:fs'
import type { Releaser } from '@tidings/stack/releaser'
import { type Browser, chromium } from 'playwright-core'
import { describe } from 'vitest'

/** Launches a browser that is closed when the tests have ended. */
type Launch = (releaser: Releaser) => Promise<Browser>

/** Describes tests that need Chromium. Where there is none, they are skipped, and the title says so. */
export function describeInBrowser(title: string, define: (launch: Launch) => void): void {
  const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
  const hasChromium = existsSync(executablePath)
  describe.skipIf(!hasChromium)(
    `${title} in a browser${hasChromium ? '' : ': NO CHROMIUM, SET CHROMIUM_PATH'}`,
    () =>
      define(async (releaser) => {
        const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
        return releaser.add(browser, (it) => it.close())
      }),
  )
}
