import { readFile } from 'node:fs/promises'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'

const PAGE = new URL('../../../../../docs/keeping-and-deleting-data.md', import.meta.url)

describe('docs/keeping-and-deleting-data.md', () => {
  const releaser = useReleaser()
  let lab: CliLab
  beforeAll(async () => {
    lab = await createCliLab('postgres', releaser)
  })

  async function readBlocks(language: string): Promise<string[]> {
    const blocks = (await readFile(PAGE, 'utf8')).matchAll(
      new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'),
    )
    return [...blocks].map(([, block = '']) => block.trim())
  }

  test('has only commands that work', async () => {
    const lines = (await readBlocks('sh')).flatMap((block) => block.split('\n'))
    expect(lines.length).toBeGreaterThan(4)
    for (const line of lines) {
      const [program, ...args] = line.split(' ')
      expect(program).toBe('tidings')
      const { exitCode, stderr } = await lab.cli.run(...args)
      expect(exitCode, `${line}\n${stderr}`).toBe(0)
    }
  })

  test('has only SQL that works', async () => {
    const statements = await readBlocks('sql')
    expect(statements).toHaveLength(1)
    for (const statement of statements) await lab.db.database.pool.query(statement)
  })
})
