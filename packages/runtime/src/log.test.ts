import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const MODULE = new URL('./log.ts', import.meta.url).href

/** Runs a program that has a logger `log`. Returns its lines on stdout, also when the program fails. */
async function linesOf(program: string): Promise<{ msg: string; time: string; level: string }[]> {
  const script = `const { createLogger } = await import('${MODULE}'); const log = createLogger('test', 'info'); ${program}`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  const { stdout } = await run.catch((failed: { stdout: string }) => failed)
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

it('has its level as a word, also in a child', async () => {
  const lines = await linesOf(`log.info('a'); log.error('b'); log.child({ part: 'c' }).warn('c')`)
  expect(lines.map(({ level }) => level)).toEqual(['info', 'error', 'warn'])
})

describe('a gathered line', () => {
  it.each([
    ['before process.exit()', `log.info('last'); process.exit(1)`],
    ['before an uncaught error', `log.info('last'); throw new Error('boom')`],
    ['before a normal end', `log.info('last')`],
  ])('is written %s', async (_, program) => {
    expect((await linesOf(program)).map((line) => line.msg)).toEqual(['last'])
  })

  it('is written in order with all others, beyond the size of one gathering', async () => {
    const lines = await linesOf(`for (let n = 0; n < 5_000; n++) log.info('line ' + n)`)
    expect(lines.map((line) => line.msg)).toEqual(Array.from({ length: 5_000 }, (_, n) => `line ${n}`))
  })

  it('is written while the program runs on', async () => {
    // SIGKILL runs no exit listener: a line that is not written by then is lost.
    const lines = await linesOf(
      `log.info('early'); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_000)`,
    )
    expect(lines.map((line) => line.msg)).toEqual(['early'])
  })

  it('has the time of its log call', async () => {
    const before = Date.now()
    const lines = await linesOf(`log.info('a'); setTimeout(() => log.info('b'), 20)`)
    const [a = 0, b = 0] = lines.map((line) => Date.parse(line.time))
    expect(a).toBeGreaterThanOrEqual(before)
    expect(b - a).toBeGreaterThanOrEqual(19)
  })
})
