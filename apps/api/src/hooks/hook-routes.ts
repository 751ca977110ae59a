import type { HookRequest, Provider, Receiver } from '@tidings/providers/provider'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { AppError } from '@tidings/shared/errors'
import { Hono } from 'hono'
import type { Registry } from 'prom-client'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { readBody, refuseCompression } from '../http/read-json.ts'
import { success } from '../http/respond.ts'
import type { Ingest } from '../status/ingest.ts'
import type { FetchFromSns } from './fetch-from-sns.ts'
import type { HookFinder, LiveHook } from './find-hook.ts'
import { HookMetrics } from './hook-metrics.ts'
import type { ReplayKeys } from './replay-keys.ts'
import { takeEvents } from './take-events.ts'

/** Everything that hooks need by themselves. */
export interface Hooks {
  finder: Pick<HookFinder, 'find' | 'noteUse'>
  receivers: Readonly<Record<Provider, Receiver>>
  replayKeys: ReplayKeys
  fetchFromSns: FetchFromSns
}

export interface HookRouteDeps {
  hooks: Hooks
  ingest: Ingest
  /** See digestRecipient. */
  recipientKey: string
  /** Base URL at which providers reach this API. */
  publicUrl: string
  registry: Registry
  log: Logger
}

/** What became of the events of a request. */
export interface HookResult {
  accepted: number
  ignored: number
  /** Events that became dead letters. */
  invalid: number
}

const NOTHING: HookResult = { accepted: 0, ignored: 0, invalid: 0 }

/** POST /hooks/{provider}/{hook_id}: providers report by themselves. docs/providers/README.md has the reasons of the answers. */
export function hookRoutes(deps: HookRouteDeps): Hono<ApiEnv> {
  const { hooks, publicUrl, registry, log } = deps
  const { finder, receivers, replayKeys } = hooks
  const app = new Hono<ApiEnv>({ strict: false })
  const metrics = new HookMetrics(registry)
  const warnOfRefusal = throttledWarning(log, 'verifying a request to a hook')
  const warnOfSns = throttledWarning(log, 'confirming a subscription at SNS')

  async function verify(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<void> {
    const verification = await receiver.verify(request, hook.credentials)
    if (verification.outcome === 'verified') return
    const { outcome, reason } = verification
    metrics.countRefusal(hook.provider, outcome === 'refused' ? reason : outcome)
    warnOfRefusal(`${hook.name}: ${reason}`)
    throw outcome === 'refused' ? notVerified() : cannotVerify(reason)
  }

  /** Takes nothing of a repeat: it is the provider's own, or forged. */
  async function takeOnce(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<HookResult> {
    const replayKey = receiver.replayKey?.(request)
    if (replayKey === undefined) return take(receiver, request, hook)
    if (await replayKeys.isUsed(hook.id, replayKey)) {
      metrics.countRefusal(hook.provider, 'replayed')
      return NOTHING
    }
    const result = await take(receiver, request, hook)
    await replayKeys.remember(hook.id, replayKey, receiver.replayWindowMs ?? 0)
    return result
  }

  async function confirmSubscription(hook: LiveHook, topicArn: string, url: string): Promise<void> {
    if (!hook.credentials.topicArns.includes(topicArn)) throw notVerified()
    try {
      await hooks.fetchFromSns(url)
    } catch (error) {
      warnOfSns(error)
      throw new AppError('unavailable', 'The subscription could not be confirmed. Send it again.')
    }
    log.info({ hook: hook.name, topicArn }, 'subscription confirmed')
  }

  async function take(receiver: Receiver, request: HookRequest, hook: LiveHook): Promise<HookResult> {
    const payload = receiver.read(request)
    switch (payload.kind) {
      case 'nothing':
        return NOTHING
      case 'subscription':
        await confirmSubscription(hook, payload.topicArn, payload.url)
        return NOTHING
      case 'events':
        return takeEvents(payload.events, { ...deps, metrics, hook, receivedAt: request.now })
      case 'unreadable': {
        const raw = request.body.toString('utf8')
        const event = { outcome: 'invalid', problem: payload.problem, raw } as const
        return takeEvents([event], { ...deps, metrics, hook, receivedAt: request.now })
      }
    }
  }

  app.post('/hooks/:provider/:hook_id', async (c) => {
    const hook = await finder.find(c.req.param('provider'), c.req.param('hook_id'))
    const { incoming } = c.env
    refuseCompression(incoming.headers)
    const receiver = receivers[hook.provider]
    const body = await readBody(incoming, receiver.maxBytes)
    const request = { headers: incoming.headers, body, url: publicUrlOf(c.env, publicUrl), now: new Date() }
    await verify(receiver, request, hook)
    finder.noteUse(hook)
    const result = await takeOnce(receiver, request, hook)
    return success(200, 'Received.', result)
  })

  return app
}

/** The URL that the provider posted to. Twilio signs it, so it stays as it came: the class URL changes characters. */
const publicUrlOf = ({ incoming }: ApiContext['env'], publicUrl: string): string =>
  publicUrl.replace(/\/$/, '') + incoming.url

const notVerified = () =>
  new AppError('unauthorized', 'The request is not signed by the provider of this hook.')

const cannotVerify = (internal: string) =>
  new AppError('unavailable', 'The signature cannot be checked right now. Send the request again.', {
    internal,
  })
