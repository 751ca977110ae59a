import type { IncomingMessage } from 'node:http'
import type { HookRequest, Provider, Receiver } from '@tidings/providers/provider'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { AppError } from '@tidings/shared/errors'
import { readBody, refuseCompression } from '../http/read-json.ts'
import type { Ingest } from '../status/ingest.ts'
import type { FetchFromSns } from './fetch-from-sns.ts'
import type { HookFinder, LiveHook } from './find-hook.ts'
import type { HookMetrics } from './hook-metrics.ts'
import type { ReplayKeys } from './replay-keys.ts'
import { type HookResult, takeEvents } from './take-events.ts'

interface HookReceiverOptions {
  finder: Pick<HookFinder, 'find' | 'noteUse'>
  receivers: Readonly<Record<Provider, Receiver>>
  replayKeys: ReplayKeys
  fetchFromSns: FetchFromSns
  ingest: Ingest
  /** See digestRecipient. */
  recipientKey: string
  /** Base URL at which providers reach this API. */
  publicUrl: string
  metrics: HookMetrics
  log: Logger
}

const NOTHING: HookResult = { accepted: 0, ignored: 0, invalid: 0 }

/** Receives what providers post. */
export class HookReceiver {
  readonly #options: HookReceiverOptions
  readonly #warnOfRefusal: (error: unknown) => void
  readonly #warnOfSns: (error: unknown) => void

  constructor(options: HookReceiverOptions) {
    this.#options = options
    this.#warnOfRefusal = throttledWarning(options.log, 'verifying a request to a hook')
    this.#warnOfSns = throttledWarning(options.log, 'confirming a subscription at SNS')
  }

  /**
   * Finds the hook, verifies the request, and resolves when its events are durable.
   *
   * @throws AppError `not_found`, `unauthorized`, `payload_too_large`, `unsupported_media_type`; `overloaded` or
   *   `unavailable` when the provider should send the request again.
   */
  async receive(provider: string, hookId: string, incoming: IncomingMessage): Promise<HookResult> {
    const { finder, receivers, publicUrl } = this.#options
    const hook = await finder.find(provider, hookId)
    refuseCompression(incoming.headers)
    const receiver = receivers[hook.provider]
    const body = await readBody(incoming, receiver.maxBytes)
    // Twilio signs the URL, so it stays as it came: the class URL changes characters.
    const url = publicUrl.replace(/\/$/, '') + incoming.url
    const request = { headers: incoming.headers, body, url, now: new Date() }
    await this.#verify(receiver, request, hook)
    finder.noteUse(hook)
    return this.#takeOnce(receiver, request, hook)
  }

  async #verify(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<void> {
    const verification = await receiver.verify(request, hook.credentials)
    if (verification.outcome === 'verified') return
    const { outcome, reason } = verification
    this.#options.metrics.countRefusal(hook.provider, outcome === 'refused' ? reason : outcome)
    this.#warnOfRefusal(`${hook.name}: ${reason}`)
    throw outcome === 'refused' ? notVerified() : cannotVerify(reason)
  }

  /** Takes nothing of a repeat: it is the provider's own, or forged. */
  async #takeOnce(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<HookResult> {
    const { replayKeys, metrics } = this.#options
    const replayKey = receiver.replayKey?.(request)
    if (replayKey === undefined) return this.#take(receiver, request, hook)
    if (await replayKeys.isUsed(hook.id, replayKey)) {
      metrics.countRefusal(hook.provider, 'replayed')
      return NOTHING
    }
    const result = await this.#take(receiver, request, hook)
    await replayKeys.remember(hook.id, replayKey, receiver.replayWindowMs ?? 0)
    return result
  }

  async #take(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<HookResult> {
    const take = (events: Parameters<typeof takeEvents>[0]) =>
      takeEvents(events, { ...this.#options, hook, receivedAt: request.now })
    const payload = receiver.read(request)
    switch (payload.kind) {
      case 'nothing':
        return NOTHING
      case 'subscription':
        await this.#confirmSubscription(hook, payload.topicArn, payload.url)
        return NOTHING
      case 'events':
        return take(payload.events)
      case 'unreadable':
        return take([{ outcome: 'invalid', problem: payload.problem, raw: request.body.toString('utf8') }])
    }
  }

  async #confirmSubscription(hook: LiveHook, topicArn: string, url: string): Promise<void> {
    if (!hook.credentials.topicArns.includes(topicArn)) throw notVerified()
    try {
      await this.#options.fetchFromSns(url)
    } catch (error) {
      this.#warnOfSns(error)
      throw new AppError('unavailable', 'The subscription could not be confirmed. Send it again.')
    }
    this.#options.log.info({ hook: hook.name, topicArn }, 'subscription confirmed')
  }
}

const notVerified = () =>
  new AppError('unauthorized', 'The request is not signed by the provider of this hook.')

const cannotVerify = (internal: string) =>
  new AppError('unavailable', 'The signature cannot be checked right now. Send the request again.', {
    internal,
  })
