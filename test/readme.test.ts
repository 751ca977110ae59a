import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { runShell } from '@tidings/stack/testing/run-shell'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** npm run test:fresh and the run of this file cover these. */
const RUN_ELSEWHERE = ['npm start', 'npm test']
/** A command that runs an app until it is stopped, on its own port. */
const RUNS_APP = /PORT=(\d+) npm .* start\)$/

async function readBlocks(page: string, language: 'sh' | 'json'): Promise<string[]> {
  const text = await readFile(`${ROOT}${page}`, 'utf8')
  const blocks = text.matchAll(new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\`$`, 'gms'))
  return [...blocks].map((match) => match[1]?.trim() ?? '')
}
const blocks = (await readBlocks('README.md', 'sh')).filter((block) => !RUN_ELSEWHERE.includes(block))
const servers = blocks.filter((block) => RUNS_APP.test(block))
const commands = blocks.filter((block) => !RUNS_APP.test(block))

describe('the README', () => {
  const releaser = useReleaser()
  let stack: TestStack
  let env: NodeJS.ProcessEnv
  /** Makes a command read the data folder of this stack instead of .data. */
  const inDataDir = (script: string) => script.replaceAll('. .data/', `. ${stack.dataDir}/`)

  beforeAll(async () => {
    stack = await startTestStack(releaser)
    env = { ...process.env, DATA_DIR: stack.dataDir }
  })

  test('has only commands that work, one after the other', async () => {
    expect(commands.length).toBeGreaterThan(5)
    const script = commands.map((block) => `echo '### next block'\n${block}`).join('\n')
    const { code, output } = await runShell(inDataDir(script), env)
    expect(code, output).toBe(0)
    // curl exits with 0 whatever the answer is.
    expect(output).not.toMatch(/"success": ?false/)
    expect(output).toContain('"email_verified_at":"20')
    expect(output).toContain('"notification_id":"notif-123"')
    expect(output).toContain('unknown_user')
    for (const path of ['/docs', '/openapi.json'])
      expect((await fetch(stack.apiUrl + path)).status, path).toBe(200)
    expect(output.split('### next block')).toHaveLength(commands.length + 1)
  })

  test('has commands that run an API and a worker beside npm start', async () => {
    expect(servers).toHaveLength(2)
    const checkServer = async (block: string) => {
      const port = await findFreePort()
      const script = inDataDir(block).replace(RUNS_APP, (text, named) => text.replace(named, String(port)))
      const app = runInBackground(script, env)
      releaser.onRelease(app.stop)
      const isReady = async () => app.hasEnded() || (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok
      await waitFor(block, isReady, { timeoutMs: 30_000, explain: app.output })
      expect(app.hasEnded(), app.output()).toBe(false)
    }
    await Promise.all(servers.map(checkServer))
  })

  test('links to a page for producers whose example has the documented answer', async () => {
    const [example] = await readBlocks('docs/producers.md', 'sh')
    const [documented] = await readBlocks('docs/producers.md', 'json')
    const { output } = await runShell(inDataDir(`. .data/dev.env\n${example}`), env)
    expect(withoutVaryingFields(output)).toEqual(withoutVaryingFields(documented ?? ''))
  })

  test('leads to a page on what happened to something, whose commands find it', async () => {
    const script = (await readBlocks('docs/what-happened-to.md', 'sh')).join('\n')
    const { code, output } = await runShell(inDataDir(script), env)
    expect(code, output).toBe(0)
    expect(output).not.toMatch(/"success": ?false/)
    // By id, by the provider's message, and in the look-up.
    expect(output.match(/Notification email order-42: bounced/g)).toHaveLength(2)
    expect(output).toContain(
      '"data":[{"notification_id":"order-42","notification_type":"email","user_id":null',
    )
    expect(output).toContain('Events to this recipient, newest first')
    // Each of the four searches finds the bounce, and none has the address in its answer.
    const searches = output.match(/"message":"Events\.","data":\[\{[^\]]*"status":"bounced"/g)
    expect(searches).toHaveLength(4)
    expect(output).not.toContain('ada@example.com')
  })

  test.for(['start/producer', 'start/front-end', 'start/operator', 'deliverability', 'statistics'])(
    'leads to docs/%s.md, whose commands work',
    async (page) => {
      const script = (await readBlocks(`docs/${page}.md`, 'sh')).join('\n')
      const { code, output } = await runShell(inDataDir(script), env)
      expect(code, output).toBe(0)
      expect(output).not.toMatch(/"success": ?false/)
    },
  )
})

/** Replaces the fields that differ in each answer by their types. */
const withoutVaryingFields = (json: string): unknown =>
  JSON.parse(json, (name, value) => (['id', 'timestamp'].includes(name) ? typeof value : value))

/** Runs a script in its own process group, so that everything it starts can be stopped. */
function runInBackground(script: string, env: NodeJS.ProcessEnv) {
  const child = spawn('sh', ['-euc', script], { cwd: ROOT, env, detached: true })
  // `close`, not `exit`: the pipes close when the last process of the group has ended.
  const closed = once(child, 'close')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  return {
    hasEnded,
    output: () => output,
    async stop() {
      if (!hasEnded() && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM')
      await closed
    },
  }
}
