import type { RunningProcess } from '../processes.ts'
import type { Site } from '../site.ts'

/** Something that takes status events over HTTP. */
export interface Contender {
  /** Short name, for `--only` and the results. */
  name: string
  /** For tables and charts. */
  label: string
  kind: 'tidings' | 'peer' | 'ceiling'
  /** False for a server that only answers. */
  stores: boolean
  start(site: Site): Promise<RunningContender>
}

export interface RunningContender {
  /** One for each API process. */
  urls: string[]
  bearer: string
  processes: RunningProcess[]
  stop(): Promise<void>
}
