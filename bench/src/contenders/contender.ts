import { createReleaser } from '@tidings/stack/releaser'
import type { RunningProcess } from '../processes.ts'
import type { Site } from '../site.ts'

/** A server that takes status events over HTTP. */
export interface Contender {
  /** Short name, for the results. */
  name: string
  /** For tables and charts. */
  label: string
  kind: 'tidings' | 'peer' | 'ceiling'
  /** False for a server that only answers. */
  stores: boolean
  /** Replaces the benchmark's site, for a contender whose database has another schema. */
  site?: Site
  /** Folder of another checkout, which the contender runs. */
  checkout?: string
  start(site: Site): Promise<RunningContender>
}

export interface RunningContender {
  /** One for each API process. */
  urls: string[]
  bearer: string
  /** Gets a row for each event. */
  table: string
  processes: RunningProcess[]
  stop(): Promise<void>
}

/**
 * Starts the processes of a contender; stops them again if one does not start.
 *
 * @param table gets a row for each event.
 * @param start hands each process to `add` and returns the URLs of the APIs.
 */
export async function startProcesses(
  bearer: string,
  table: string,
  start: (add: (process: RunningProcess) => void) => Promise<string[]>,
): Promise<RunningContender> {
  const releaser = createReleaser()
  const processes: RunningProcess[] = []
  try {
    const urls = await start((started) => {
      processes.push(releaser.add(started, (it) => it.stop()))
    })
    return { urls, bearer, table, processes, stop: () => releaser.release() }
  } catch (error) {
    await releaser.release()
    throw error
  }
}
