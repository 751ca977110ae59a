/** What a ceiling that is not a server sends back over IPC. */
export interface CeilingReport {
  /** Rows, jobs or hashes. */
  perSecond: number
}

export function report(done: number, startedMs: number): void {
  const result: CeilingReport = { perSecond: (done * 1_000) / (performance.now() - startedMs) }
  process.send?.(result)
}
