import { setTimeout as sleep } from 'node:timers/promises'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { Ledger } from '../ledger.ts'
import { postStatus } from '../post-status.ts'
import { check, type Row, runUnderLoad } from '../row.ts'
import { HOOK_SOURCE } from '../settle.ts'
import type { System } from '../system.ts'

const MESSAGES = 20

/**
 * A provider reports what happened to messages before and after their sender does, and names no notification. Each
 * report must become one row, whenever a worker is killed.
 */
export const unresolvedRow: Row = {
  name: 'unresolved',
  fault: 'events that name their message only, worker kill -9',
  short: true,
  concurrent: true,
  run: (stage) =>
    runUnderLoad(stage, { workers: 2 }, async ({ system, ledger }) => {
      const kills = stage.short ? 1 : 20
      for (let kill = 0; kill < kills; kill++) {
        const names = Array.from(
          { length: MESSAGES },
          (_, n) => `${system.databaseName}-message-${kill}-${n}`,
        )
        const early = names.slice(0, MESSAGES / 2)
        await enqueueReports(system, ledger, early)
        const posts = names.map((name) => postSent(system, ledger, name))
        await enqueueReports(system, ledger, names.slice(early.length))
        await sleep(60 * stage.random())
        const worker = system.workers[kill % system.workers.length]
        await worker?.kill9()
        await worker?.start()
        await Promise.all(posts)
        stage.progress(`kill ${kill + 1}/${kills}`)
      }
      return [check('reports without a notification', true, kills * MESSAGES)]
    }),
}

/** Two deliveries of the same reports, each in one job, as the API publishes them. */
async function enqueueReports(system: System, ledger: Ledger, names: readonly string[]): Promise<void> {
  const events = names.map((name) =>
    identifyEvent(
      {
        ...{ status: 'delivered', provider: 'ses', provider_message_id: name, event_id: `report-${name}` },
        timestamp: new Date().toISOString(),
      },
      { type: 'email', source: HOOK_SOURCE, receivedAt: new Date() },
    ),
  )
  for (const { event_id = '' } of events) ledger.send(event_id)
  for (let delivery = 0; delivery < 2; delivery++)
    await system.queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  for (const { event_id = '' } of events) ledger.learn(event_id, 'acknowledged')
}

async function postSent(system: System, ledger: Ledger, name: string): Promise<void> {
  ledger.send(name)
  const message = { provider: 'ses', provider_message_id: name }
  const answer = await postStatus(system, system.apis[0]?.url, {
    notification_id: name,
    event_id: name,
    ...message,
  })
  if (answer.status === 202) ledger.learn(name, 'acknowledged')
}
