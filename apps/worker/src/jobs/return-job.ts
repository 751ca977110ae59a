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

export interface ReturnOptions {
  /** Called when PostgreSQL is unreachable. */
  onOutage(error: WriteError): void
  /** Called when the outcome of events could not be recorded for another reason. */
  onSettleError(error: unknown): void
  /** How long a job waits after it met an outage or a full store, in milliseconds. */
  outageDelayMs?: number | undefined
}

const OUTAGE_DELAY_MS = 1_000
/** A job that fails again and again waits at most this many times as long. */
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

/** Puts the job back after an outage, without counting an attempt. @throws DelayedError always */
export const delayForOutage = (locked: LockedJob, { outageDelayMs }: ReturnOptions): Promise<never> =>
  delayWithoutAttempt(locked, outageDelayMs ?? OUTAGE_DELAY_MS)

/**
 * Puts the job back without counting an attempt.
 *
 * @param delayMs a whole number: the PostgreSQL backend accepts no other.
 * @throws DelayedError always: it tells BullMQ where the job is
 */
export async function delayWithoutAttempt({ job, token }: LockedJob, delayMs: number): Promise<never> {
  for (;;) {
    try {
      await job.moveToDelayed(Date.now() + delayMs, token)
      break
    } catch (error) {
      // The queue may be in the same PostgreSQL. To end this run in any other way would count an attempt.
      if (classifyFailure(error) !== 'outage') throw error
      await sleep(delayMs)
    }
  }
  throw new DelayedError()
}

/**
 * Runs `work`, which records the outcome of events. If it fails, for example because Redis is full, the job is delayed
 * and no attempt is counted: no event is to blame.
 *
 * @throws DelayedError when `work` failed
 * @throws JobLockLostError when `work` threw it
 */
export async function delayOnFailure(
  work: () => Promise<void>,
  locked: LockedJob,
  options: ReturnOptions,
): Promise<void> {
  try {
    await work()
  } catch (cause) {
    if (cause instanceof JobLockLostError) throw cause
    if (classifyFailure(cause) === 'outage') {
      options.onOutage({ code: sqlState(cause) ?? 'unknown', message: errorMessage(cause) })
      return delayForOutage(locked, options)
    }
    const { id, attemptsStarted } = locked.job
    options.onSettleError(
      new Error(`outcome of job ${id} not recorded, will be tried again: ${errorMessage(cause)}`, { cause }),
    )
    // The longer the failure lasts, the less often the job is tried.
    const delayMs = options.outageDelayMs ?? OUTAGE_DELAY_MS
    return delayWithoutAttempt(locked, delayMs * Math.min(attemptsStarted, MAX_DELAY_FACTOR))
  }
}
