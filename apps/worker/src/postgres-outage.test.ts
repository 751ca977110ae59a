import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { expect, it } from 'vitest'
import { createPostgresOutage } from './postgres-outage.ts'

it('doubles the probe interval when a write fails soon after the probe succeeded', async () => {
  const probeIntervalMs = 10
  const waits: number[] = []
  const outage = createPostgresOutage({
    probe: () => Promise.resolve(),
    pause: () => Promise.resolve(),
    resume: () => Promise.resolve(),
    log: createLogger('test', 'silent'),
    probeIntervalMs,
  })
  for (let relapse = 0; relapse < 4; relapse++) {
    const reportedAt = performance.now()
    outage.report({ code: '53100', message: 'could not extend file' })
    await waitFor('the worker to resume', () => !outage.isPaused, { intervalMs: 1 })
    // A timer may be early by less than a millisecond.
    waits.push(performance.now() - reportedAt + 1)
  }
  outage.close()
  waits.forEach((wait, relapse) => {
    expect(wait).toBeGreaterThanOrEqual(probeIntervalMs * 2 ** relapse)
    // On a busy machine a timer may be late, but not by seconds.
    expect(wait).toBeLessThan(probeIntervalMs * 2 ** relapse + 5_000)
  })
})
