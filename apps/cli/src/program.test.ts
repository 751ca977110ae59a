import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { maskText, maskValue } from '@tidings/shared/mask'
import { describe, expect, test, vi } from 'vitest'
import { createCli, linesOf } from './testing/cli-process.ts'

vi.setConfig({ testTimeout: 120_000 })

const cli = createCli({})

describe('completion and manual', () => {
  test('bash completes commands, options and fixed values', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidings-completion-'))
    const script = join(folder, 'tidings.bash')
    await writeFile(script, (await cli.run('completion', 'bash')).stdout)
    const complete = (...words: string[]) =>
      execFileSync('bash', [
        '-c',
        `source "$1"; shift; COMP_WORDS=(tidings "$@"); COMP_CWORD=$#; _tidings_complete; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        script,
        ...words,
      ]).toString()
    expect(linesOf(complete('dl'))).toEqual(['dlq'])
    expect(linesOf(complete('dlq', 're'))).toEqual(['redrive'])
    expect(linesOf(complete('dlq', 'redrive', '--can'))).toEqual(['--canary'])
    expect(linesOf(complete('dlq', 'list', '--reason', 'st'))).toEqual(['stalled'])
    expect(linesOf(complete('dlq', 'list', '-o', 'n'))).toEqual(['ndjson'])
    await rm(folder, { recursive: true })
  })

  test('every command is in the manual with its options and examples, and in each completion script', async () => {
    const manual = (await cli.run('manual')).stdout
    for (const command of ['DLQ REDRIVE', 'DLQ STATS', 'STATUS', 'SERVICE-KEYS CREATE', 'DOCTOR'])
      expect(manual).toContain(`TIDINGS ${command}\n`)
    expect(manual).toContain('--abort-on-failure-ratio')
    expect(manual).toContain('tidings dlq redrive --all --dry-run')
    for (const shell of ['bash', 'zsh', 'fish'])
      expect((await cli.run('completion', shell)).stdout).toContain('abort-on-failure-ratio')
  })

  test('docs/tidings-manual.md is what the definitions say; if not, run npm run docs:manual', async () => {
    const page = await readFile(new URL('../../../docs/tidings-manual.md', import.meta.url), 'utf8')
    expect(page).toBe((await cli.run('manual', '--format', 'markdown')).stdout)
  })
})

describe('masking', () => {
  test('hides addresses and tokens, keeps ids and ordinary text', () => {
    expect(maskText('to ada.l+x@mail.example.org, id 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee')).toBe(
      'to a***@mail.example.org, id 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee',
    )
    expect(maskText('ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx] gone')).toBe('ExponentPushToken[***] gone')
    expect(maskText('a'.repeat(64))).toBe('aaaa***(64)')
    expect(maskValue({ deep: [{ device_token: 'abcdefghijkl' }], fingerprint: 'aabbccddeeff' })).toEqual({
      deep: [{ device_token: 'abcd***(12)' }],
      fingerprint: 'aabbccddeeff',
    })
  })
})

describe('the terminal', () => {
  test('NO_COLOR and pipes have no escape sequences', async () => {
    for (const env of [{}, { NO_COLOR: '1' }, { FORCE_COLOR: '' }]) {
      const help = await createCli(env).start('dlq', '--help').ended
      expect(help.stdout).not.toContain('\u001b')
    }
  })
})
