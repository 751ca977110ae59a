interface RegularTaskOptions {
  run(): Promise<unknown>
  /** Between two starts, in milliseconds. A run that takes longer delays the next one. */
  intervalMs: number
  /** The next run comes all the same. */
  onFailure(error: unknown): void
}

/**
 * Runs a task now and regularly from then on, one run at a time.
 *
 * @returns a function that stops, and resolves when the current run has ended.
 */
export function runRegularly({ run, intervalMs, onFailure }: RegularTaskOptions): () => Promise<void> {
  const runOnce = async () => {
    try {
      await run()
    } catch (error) {
      onFailure(error)
    }
  }
  let lastRun = runOnce()
  const timer = setInterval(() => {
    lastRun = lastRun.then(runOnce)
  }, intervalMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await lastRun
  }
}
