import type { Site } from '../site.ts'
import type { Summary } from '../statistics.ts'

/** How long and how often things are measured. */
export interface Effort {
  rounds: number
  /** Of each load, in seconds. */
  seconds: number
  warmUpSeconds: number
  /** Clients at once that send single events. */
  connections: number
  /** Smaller amounts of data, for a short look. */
  quick: boolean
}

export interface ScenarioContext {
  site: Site
  effort: Effort
  /** Another checkout of Tidings, to measure beside this one. */
  against?: string | undefined
  /** Says what is going on, on stderr. */
  progress(text: string): void
}

export type Unit = 'perSecond' | 'ms' | 'micros' | 'bytes' | 'megabytes' | 'seconds' | 'percent'

export interface Column {
  metric: string
  title: string
  unit: Unit
}

export interface ResultRow {
  name: string
  label: string
  kind: 'tidings' | 'peer' | 'ceiling'
  metrics: Record<string, Summary>
}

export interface Goal {
  text: string
  /** What was measured, in words. */
  figure: string
  met: boolean
}

export interface ScenarioResult {
  name: string
  title: string
  /** The first column is the one that the chart shows. */
  columns: Column[]
  rows: ResultRow[]
  goals: Goal[]
  /** What a reader must know to read the table. */
  notes: string[]
}

export interface Scenario {
  name: string
  title: string
  run(context: ScenarioContext): Promise<ScenarioResult>
}
