import type { Unit } from '../scenarios/scenario.ts'

/** Formats a value with its unit. */
export function formatValue(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return '–'
  switch (unit) {
    case 'perSecond':
      return value < 100 ? `${value.toFixed(1)}/s` : `${Math.round(value).toLocaleString('en-US')}/s`
    case 'ms':
      return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
    case 'micros':
      return `${Math.round(value)} µs`
    case 'bytes':
      return `${Math.round(value).toLocaleString('en-US')} B`
    case 'megabytes':
      return `${Math.round(value)} MB`
    case 'seconds':
      return `${value.toFixed(1)} s`
    case 'percent':
      return `${Math.round(value)} %`
  }
}
