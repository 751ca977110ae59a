import type { Contender } from '../contenders/contender.ts'
import type { Site } from '../site.ts'
import type { Summary } from '../statistics.ts'

/** The length and the number of measurements. */
export interface Effort {
  rounds: number
  /** Of each load, in seconds. */
  seconds: number
  warmUpSeconds: number
  /** Concurrent connections of ingest-single. */
  connections: number
  /** Sizes of the tables of growth, when others than the usual ones are wanted. */
  rows: readonly number[] | undefined
  /** Fewer sizes and less data. */
  quick: boolean
}

export interface ScenarioContext {
  site: Site
  effort: Effort
  /** Tidings of the checkout that --against names; empty without it. */
  against: readonly Contender[]
  /** Writes a progress line to stderr. */
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
  /** The measured value, with its unit. */
  figure: string
  met: boolean
}

export interface Measurement {
  /** The chart shows the first one. */
  columns: readonly Column[]
  rows: ResultRow[]
  goals: Goal[]
  /** Conditions that a reader of the table must know. */
  notes: string[]
}

export interface Scenario {
  name: string
  title: string
  run(context: ScenarioContext): Promise<Measurement>
}

export type ScenarioResult = Measurement & Pick<Scenario, 'name' | 'title'>
