/** Tells the benchmark that this process takes work; it was started with an IPC channel. */
export function sayReady(): void {
  process.send?.('ready')
}

/** Ends the process on SIGTERM, and when the benchmark that started it is gone. */
export function stopOnSignal(close: () => Promise<void>): void {
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    // A peer's own shutdown may wait for idle timeouts; nothing is in flight when the benchmark stops it.
    setTimeout(() => process.exit(0), 2_000).unref()
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
}
