import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startTestApi, type TestApi } from '@tidings/api/testing/test-api'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestWorker } from '@tidings/worker/testing/test-worker'
import { beforeAll, describe, expect, it } from 'vitest'
import { compile } from './compile.ts'

const PAGE = new URL('../../../docs/contracts.md', import.meta.url)
const GENERATOR = fileURLToPath(import.meta.resolve('@hey-api/openapi-ts/package.json')).replace(
  'package.json',
  'bin/run.js',
)
const run = promisify(execFile)

describe('docs/contracts.md', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser)
    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    releaser.onRelease(() => lifecycle.release())
    await startTestWorker({ db: api.database, backend: api.backend, lifecycle })
  })

  it('generates an SDK, which compiles, and with which its program registers, logs in, reports and reads', async () => {
    const page = await readFile(PAGE, 'utf8')
    const readBlock = (language: string) => page.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? ''
    // The command that readers run: with the compiler that the generator has here, because it fails with a newer one.
    const compiler = await readFile(createRequire(GENERATOR).resolve('typescript/package.json'), 'utf8')
    const major = /"version": "(\d+)/.exec(compiler)?.[1]
    expect(page).toContain(`npx -p typescript@${major} -p @hey-api/openapi-ts openapi-ts\n`)
    const folder = await makeTestFolder(releaser)
    const write = (file: string, text: string) => writeFile(join(folder, file), text)
    await write('package.json', '{ "type": "module" }')
    await write('openapi-ts.config.js', readBlock('js'))
    await write('tour.ts', readBlock('ts'))
    await write('node.d.ts', 'declare const process: { env: Record<string, string> }')

    const env = { ...process.env, API_URL: api.apiUrl, SERVICE_KEY: await api.createKey() }
    await run(process.execPath, [GENERATOR, '--silent', '--no-log-file'], { cwd: folder, env })
    expect(await compile('tour.ts', folder, ['node.d.ts'])).toBe('')
    const { stdout } = await run(process.execPath, ['tour.ts'], { cwd: folder, env })
    expect(stdout).toBe('Ada ada@example.com\norder-7 delivered\nrefused: missing_error at /error\n')
  })
})
