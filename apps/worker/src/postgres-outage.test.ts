import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { expect, it } from 'vitest'
import { createPostgresOutage } from './postgres-outage.ts'

it('waits longer each time for a store that the probe finds back and the next batch does not', async () => {
  const probeIntervalMs = 20
  const waits: number[] = []
  const gate = createPostgresOutage({
    probe: () => Promise.resolve(),
    pause: () => Promise.resolve(),
    resume: () => Promise.resolve(),
    log: createLogger('test', 'silent'),
    probeIntervalMs,
  })
  for (let relapse = 0; relapse < 4; relapse++) {
    const reportedAt = performance.now()
    gate.report({ code: '53100', message: 'could not extend file' })
    await waitFor('the gate to close', () => !gate.isOpen, { intervalMs: 1 })
    // A timer may be early by less than a millisecond.
    waits.push(performance.now() - reportedAt + 1)
  }
  gate.close()
  waits.forEach((wait, relapse) => {
    expect(wait).toBeGreaterThanOrEqual(probeIntervalMs * 2 ** relapse)
    // On a busy machine a timer may be late, but not by seconds.
    expect(wait).toBeLessThan(probeIntervalMs * 2 ** relapse + 5_000)
  })
})
