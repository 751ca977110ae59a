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
  start(site: Site): Promise<RunningContender>
}

export interface RunningContender {
  /** One for each API process. */
  urls: string[]
  bearer: string
  processes: RunningProcess[]
  stop(): Promise<void>
}
