import { readFile } from 'node:fs/promises'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { expect, test } from 'vitest'
import { createCliLab } from '../../testing/cli-lab.ts'

const PAGE = new URL('../../../../../docs/runbook.md', import.meta.url)
const releaser = useReleaser()

test('docs/runbook.md has only commands that work', async () => {
  const lab = await createCliLab('postgres', releaser)
  const blocks = [...(await readFile(PAGE, 'utf8')).matchAll(/^```sh\n(.*?)^```$/gms)]
  const lines = blocks.flatMap(([, block = '']) => block.trim().split('\n'))
  expect(lines.length).toBeGreaterThan(0)
  for (const line of lines) {
    const [program, ...args] = line.split(' ')
    expect(program).toBe('tidings')
    const { exitCode, stderr } = await lab.cli.run(...args)
    expect(exitCode, `${line}\n${stderr}`).toBe(0)
  }
})
