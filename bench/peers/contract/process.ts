/** Tells the benchmark over IPC that this process takes work. */
export function sayReady(): void {
  process.send?.('ready')
}

/** Ends the process on SIGTERM, and when the benchmark ends. */
export function stopOnSignal(close: () => Promise<void>): void {
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    // A peer's shutdown may wait for idle timeouts. The benchmark stops it when nothing is in flight, so cut that short.
    setTimeout(() => process.exit(0), 2_000).unref()
    close().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
}
