export interface CheckResult {
  check: string
  result: 'ok' | 'warning' | 'failure'
  found: string
  advice?: string
  isUnreachable?: boolean
}

export const ok = (check: string, found: string): CheckResult => ({ check, result: 'ok', found })
export const warning = (check: string, found: string, advice: string): CheckResult => ({
  check,
  result: 'warning',
  found,
  advice,
})
export const failure = (check: string, found: string, advice: string): CheckResult => ({
  check,
  result: 'failure',
  found,
  advice,
})
