import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '@tidings/db/database'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import {
  AUDIT_PROBE,
  deleteProbeEvents,
  deleteProbeKeys,
  listUnfinishedProbes,
  PROBE_SOURCE,
  type Probe,
} from '@tidings/db/events/probe-events'
import { findStoredContent } from '@tidings/db/events/stored-content'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import { deadLetterId } from '@tidings/queue/dead-letters/entry-id'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { errorMessage } from '@tidings/shared/errors'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusEvent } from '@tidings/shared/status-event'
import { z } from 'zod'
import { type RunningAudit, withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { ProbeQueue } from './probe-queue.ts'

interface ProbeOptions {
  /** Base URL of the API. Without one the step through the API is skipped. */
  apiUrl: string | undefined
  /** How long to wait for all events, in milliseconds. At most MAX_PROBE_MS. */
  timeoutMs: number
}

/** After 10 minutes another probe takes the events of this one for left behind, and removes them. */
export const MAX_PROBE_MS = 5 * 60_000

/** One event on its way through the system. */
export interface ProbeStep {
  step: string
  result: 'ok' | 'skipped' | 'failure'
  /** From sending the event until it arrived, in milliseconds. */
  ms: number | null
  advice?: string
}

const POLL_MS = 50
const WORKER_ADVICE = 'Is a worker running? Look at tidings doctor and at the log of the worker.'

/**
 * Sends an event through the API and one through the queue until each is a row, and a poison event until it is a dead
 * letter. Removes all three again, also after Ctrl-C and when one did not arrive.
 *
 * @throws CliError `partial` at Ctrl-C.
 */
export async function runProbe(context: CliContext, options: ProbeOptions): Promise<ProbeStep[]> {
  context.assertWritable()
  const db = await context.database()
  const store = await context.deadLetters()
  const notificationId = `${PROBE_SOURCE}-${randomUUID()}`
  // No user has this id, so the worker dead-letters the event.
  const poison = createEvent(notificationId, { user_id: randomUUID() })
  const probe: Probe = { notificationId, deadLetterId: deadLetterId({ eventId: poison.id, event: poison }) }
  const interruption = context.interruption()
  const signal = AbortSignal.any([interruption, AbortSignal.timeout(options.timeoutMs)])
  const isRow = async (id: string) => (await findStoredContent(db, [{ id }])).has(id)
  const queue = await ProbeQueue.open(context.env())
  let acceptedByApi = 0
  let steps: ProbeStep[] = []

  const send = () => [
    sendThroughApi(db, options.apiUrl, notificationId, signal, (id) => {
      acceptedByApi = 1
      return () => isRow(id)
    }),
    measure('Queue to row', signal, async () => {
      const event = createEvent(notificationId)
      await queue.add(event)
      return () => isRow(event.id)
    }),
    measure('Queue to dead letter', signal, async () => {
      await queue.add(poison)
      return async () => (await store.sizes([probe.deadLetterId])).size > 0
    }),
  ]
  const change = async (audit: RunningAudit) => {
    try {
      for (const left of await listUnfinishedProbes(db)) await removeProbe(db, store, left)
      steps = await allOrThrow(send())
    } finally {
      const hasArrived = steps.length > 0 && steps.every(({ result }) => result !== 'failure')
      const isRemoved = hasArrived || (await queue.remove(notificationId))
      await removeProbe(db, store, probe, acceptedByApi)
      audit.matched = steps.filter(({ result }) => result !== 'skipped').length
      audit.changed = steps.filter(({ result }) => result === 'ok').length
      audit.result = isRemoved ? 'done' : 'an event may still be in the queue: a later probe removes it'
    }
    if (interruption.aborted)
      throw new CliError(EXIT.partial, 'Interrupted. The events of the probe were removed.')
  }
  const selector = { notification_id: notificationId, dead_letter: probe.deadLetterId }
  await withAudit(context, { action: AUDIT_PROBE, selector }, change).finally(() => queue.close())
  return steps
}

/** Waits for all steps, also when one throws: none may send an event after the others were removed. */
async function allOrThrow(running: Promise<ProbeStep>[]): Promise<ProbeStep[]> {
  await Promise.allSettled(running)
  return Promise.all(running)
}

const createEvent = (notificationId: string, fields: Partial<StatusEvent> = {}): StatusEvent =>
  identifyEvent(
    { notification_id: notificationId, status: 'sent', ...fields },
    { type: 'email', source: PROBE_SOURCE, receivedAt: new Date() },
  )

const acceptedSchema = z.object({ data: z.object({ id: z.string() }) })

/**
 * Reports an event with a service key that lives as long as the step.
 *
 * @param onAccepted called with the event's id. It returns the check for its arrival.
 */
async function sendThroughApi(
  db: Database,
  apiUrl: string | undefined,
  notificationId: string,
  signal: AbortSignal,
  onAccepted: (id: string) => () => Promise<boolean>,
): Promise<ProbeStep> {
  const step = 'API to row'
  if (apiUrl === undefined)
    return {
      step,
      result: 'skipped',
      ms: null,
      advice: 'No URL of the API is known: add --api-url, or set API_URL.',
    }
  const made = await createServiceKey(db, PROBE_SOURCE, ['status:write:email'])
  if (made.outcome !== 'created')
    throw new CliError(EXIT.failure, 'Two other probes are running. Try again later.')
  const report = async () => {
    const response = await fetch(`${apiUrl.replace(/\/+$/, '')}/api/v1/email/status/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${made.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ notification_id: notificationId, status: 'sent' }),
      signal,
    })
    if (response.status !== 202) throw new Error(`it answered ${response.status}`)
    return onAccepted(acceptedSchema.parse(await response.json()).data.id)
  }
  const advice = `The API at ${apiUrl} did not accept the event. Look at ${apiUrl}/health/ready`
  return measure(step, signal, report, advice).finally(() => deleteProbeKeys(db, made.id))
}

/**
 * Sends one event and waits until it arrived.
 *
 * @param send returns the check for the arrival.
 * @param sendAdvice what to do when `send` fails. Without it, a failure is thrown.
 */
async function measure(
  step: string,
  signal: AbortSignal,
  send: () => Promise<() => Promise<boolean>>,
  sendAdvice?: string,
): Promise<ProbeStep> {
  const startedAt = performance.now()
  let hasArrived: () => Promise<boolean>
  try {
    hasArrived = await send()
  } catch (error) {
    if (sendAdvice === undefined) throw error
    return { step, result: 'failure', ms: null, advice: `${sendAdvice} (${errorMessage(error)}).` }
  }
  while (!signal.aborted) {
    if (await hasArrived()) return { step, result: 'ok', ms: Math.round(performance.now() - startedAt) }
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
  return { step, result: 'failure', ms: null, advice: WORKER_ADVICE }
}

/**
 * Removes the rows and the dead letter of a probe. Its rows count nowhere, so the API's event is taken off the accepted
 * ones: the report of doctor stays balanced.
 *
 * @param acceptedByApi how many events the API counted already.
 */
async function removeProbe(
  db: Database,
  store: DeadLetterStore,
  probe: Probe,
  acceptedByApi = 0,
): Promise<void> {
  await deleteProbeEvents(db, probe)
  await store.discard(await store.get([probe.deadLetterId]))
  if (acceptedByApi > 0) await addIngestCounts(db, { accepted: -acceptedByApi })
}
