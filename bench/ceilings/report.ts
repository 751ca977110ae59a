/** The message that a ceiling without a server sends over IPC. */
export interface CeilingReport {
  /** Rows, jobs or hashes per second. */
  perSecond: number
}

export function report(done: number, startedMs: number): void {
  const result: CeilingReport = { perSecond: (done * 1_000) / (performance.now() - startedMs) }
  process.send?.(result)
}
