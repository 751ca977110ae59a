import { setTimeout as sleep } from 'node:timers/promises'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import { LOCK_DURATION_MS } from '@tidings/queue/policy'
import { errorMessage } from '@tidings/shared/errors'
import { DelayedError, type Job } from 'bullmq'
import type { WriteError } from './batch-writer.ts'

/** A job that this worker started, with the token of its lock. */
export interface LockedJob {
  job: Job
  token: string | undefined
}

export interface ReturnHandlers {
  /** Called when PostgreSQL was found unreachable. */
  onOutage(error: WriteError): void
  /** Called when the outcome of events could not be recorded for another reason. */
  onSettleError(error: unknown): void
}

/** How long a job waits that met an outage or a full store, in milliseconds. */
const OUTAGE_DELAY_MS = 1_000
const MAX_DELAY_FACTOR = 10

/** Another worker has the job. BullMQ ignores this failure, because the lock is not held. */
export class JobLockLostError extends Error {
  constructor() {
    super('the job was taken over by another worker')
    this.name = 'JobLockLostError'
  }
}

/**
 * Checks that no other worker took the job over. A worker that was frozen or cut off for longer than the lock lasts
 * loses the job. The other worker may have dead-lettered its events and an operator may have redriven them since, so
 * burying them again would make them both stored and dead.
 *
 * @throws JobLockLostError
 */
export async function assertLockHeld({ job, token }: LockedJob): Promise<void> {
  if ((await job.extendLock(token ?? '', LOCK_DURATION_MS)) !== 1) throw new JobLockLostError()
}

/** Puts the job back after an outage, without counting an attempt. Always throws DelayedError. */
export const delayForOutage = (locked: LockedJob): Promise<never> =>
  delayWithoutAttempt(locked, OUTAGE_DELAY_MS)

/** Puts the job back without counting an attempt. Always throws DelayedError. */
export async function delayWithoutAttempt({ job, token }: LockedJob, delayMs: number): Promise<never> {
  for (;;) {
    try {
      await job.moveToDelayed(Date.now() + delayMs, token)
      break
    } catch (error) {
      // The queue may be in the PostgreSQL that is unreachable. Any other end of this run would count an attempt.
      if (classifyFailure(error) !== 'outage') throw error
      await sleep(OUTAGE_DELAY_MS)
    }
  }
  throw new DelayedError()
}

/**
 * Records the outcome of events: runs `work`. On failure, as with a full Redis, it delays the job without using up an
 * attempt: no event is to blame.
 */
export async function delayOnFailure(
  work: () => Promise<void>,
  locked: LockedJob,
  { onOutage, onSettleError }: ReturnHandlers,
): Promise<void> {
  try {
    await work()
  } catch (cause) {
    if (cause instanceof JobLockLostError) throw cause
    if (classifyFailure(cause) === 'outage') {
      onOutage({ code: sqlState(cause) ?? 'unknown', message: errorMessage(cause) })
      return delayForOutage(locked)
    }
    const { id, attemptsStarted } = locked.job
    onSettleError(
      new Error(`outcome of job ${id} not recorded, will be tried again: ${errorMessage(cause)}`, { cause }),
    )
    // The longer the failure lasts, the less often the job is tried.
    return delayWithoutAttempt(locked, OUTAGE_DELAY_MS * Math.min(attemptsStarted, MAX_DELAY_FACTOR))
  }
}
