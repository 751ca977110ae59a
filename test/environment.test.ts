import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** env.ts parses the environment; the others are programs, which read it and pass it on. Tests may do as they like. */
const MAY_READ =
  /(^|\/)((env|main|run|start|run-app|test-setup|run-tests|fresh-clone)\.ts|bootstrap\.mjs)$|\.test\.ts$|^apps\/\w+\/src\/testing\//

test('only env.ts and the programs read the environment', async () => {
  const listed = execFileSync('git', ['ls-files', 'apps', 'packages', 'tools'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const files = listed.split('\n').filter((file) => /\.(ts|mjs)$/.test(file) && !MAY_READ.test(file))
  expect(files.length).toBeGreaterThan(100)
  const texts = await Promise.all(files.map((file) => readFile(`${ROOT}${file}`, 'utf8').catch(() => '')))
  expect(files.filter((_, index) => texts[index]?.includes('process.env'))).toEqual([])
})
