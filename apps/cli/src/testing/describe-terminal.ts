import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, vi } from 'vitest'
import { type CliLab, createCliLab } from './cli-lab.ts'
import { CLI_COMMAND } from './cli-process.ts'
import { hasTerminals, openTerminal, type TerminalSession, type TerminalSize } from './terminal-session.ts'

/** The stores and the terminals of one test file. */
interface TerminalLab {
  /** On the PostgreSQL backend, emptied before each test. */
  readonly lab: CliLab
  /** Starts `tidings` on a new terminal. */
  open(args: readonly string[], env?: NodeJS.ProcessEnv, size?: TerminalSize): TerminalSession
}

/** A suite of the real program on real terminals. On a machine without `script` it is shown as skipped. */
export function describeOnTerminal(name: string, define: (terminal: TerminalLab) => void): void {
  // Each test starts processes; on a busy machine that takes seconds.
  vi.setConfig({ testTimeout: 120_000 })
  const canRun = hasTerminals()
  describe.skipIf(!canRun)(canRun ? name : `${name}: NO script OF util-linux ON THE PATH`, () => {
    const releaser = useReleaser()
    let lab: CliLab
    beforeAll(async () => {
      lab = await createCliLab('postgres', releaser)
    })
    beforeEach(() => lab.empty())
    define({
      get lab() {
        return lab
      },
      open: (args, env = {}, size = undefined) =>
        openTerminal([CLI_COMMAND, ...args], { ...lab.cli.env, ...env }, size),
    })
  })
}
