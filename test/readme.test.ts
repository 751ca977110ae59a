import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { useReleaser } from '@tidings/stack/test-context'
import { startTestStack } from '@tidings/stack/test-stack'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** These start everything from nothing, which test:fresh and whoever reads this do. */
const RUN_ELSEWHERE = ['npm start', 'npm test']

async function readBlocks(): Promise<string[]> {
  const readme = await readFile(`${ROOT}README.md`, 'utf8')
  const blocks = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1]?.trim() ?? '')
  return blocks.filter((block) => !RUN_ELSEWHERE.includes(block))
}

describe('the README', () => {
  const releaser = useReleaser()

  test('has only commands that work, in their order', { timeout: 120_000 }, async () => {
    const stack = await startTestStack(releaser)
    const blocks = await readBlocks()
    expect(blocks.length).toBeGreaterThan(5)
    const script = blocks.map((block) => `echo '### next block'\n${block}`).join('\n')
    const { code, output } = await runShell(script.replaceAll('. .data/', `. ${stack.dataDir}/`), {
      ...process.env,
      DATA_DIR: stack.dataDir,
    })
    expect(code, output).toBe(0)
    // curl ends well whatever the answer is.
    expect(output).not.toMatch(/"success": ?false/)
    expect(output).toContain('"notification_id":"notif-123"')
    expect(output).toContain('unknown_user')
    for (const path of ['/docs', '/openapi.json'])
      expect((await fetch(stack.apiUrl + path)).status, path).toBe(200)
    expect(output.split('### next block')).toHaveLength(blocks.length + 1)
  })

  test('links to files that are there', async () => {
    const readme = await readFile(`${ROOT}README.md`, 'utf8')
    const targets = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1])
    for (const target of targets) await expect(stat(`${ROOT}${target}`), target).resolves.toBeTruthy()
  })
})

function runShell(script: string, env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile('sh', ['-euc', script], { cwd: ROOT, env, timeout: 90_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, output: stdout + stderr })
    })
  })
}
