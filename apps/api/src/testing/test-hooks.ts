import type { Database } from '@tidings/db/database'
import { createHook } from '@tidings/db/operators/hooks'
import { makeTrial } from '@tidings/providers/make-credential'
import type { Provider } from '@tidings/providers/provider'
import type { SimulatedOutcome, SimulatedRequest } from '@tidings/providers/simulated'
import { SIMULATORS } from '@tidings/providers/simulators'
import { newHookId } from '@tidings/shared/hook'
import { seal } from '@tidings/shared/seal'

/** Where providers think that the API is: Twilio signs it. */
const PUBLIC_URL = 'https://hooks.example.com'
const TEST_SECRETS_KEY = 'the key of the secrets of hooks in tests'

/** Environment of an API whose hooks these helpers call. */
export const HOOK_VARIABLES = { API_URL: PUBLIC_URL, HOOK_SECRETS_KEY: TEST_SECRETS_KEY }

/** A stored hook, and what signs its requests. */
export interface TestHook {
  id: string
  provider: Provider
  name: string
  /** Such as /hooks/resend/0123…. */
  path: string
  secret: string
  topicArn: string | undefined
}

let hooks = 0

/** Stores a hook with a new key or secret. */
export async function makeHook(db: Database, provider: Provider): Promise<TestHook> {
  const id = newHookId()
  const name = `${provider}-${hooks++}`
  const { signingSecret, ...credential } = makeTrial(provider)
  const sealed = seal(TEST_SECRETS_KEY, id, signingSecret)
  await createHook(
    db,
    { id, provider, name, credentials: [{ ...credential, sealed }], isTrial: true },
    { actor: 'test', action: 'hooks.create', selector: {}, matched: 1, changed: 1, result: 'created' },
  )
  const [topicArn] = credential.topicArns ?? []
  return { id, provider, name, path: `/hooks/${provider}/${id}`, secret: signingSecret, topicArn }
}

let messages = 0

interface MessageOptions {
  outcome?: SimulatedOutcome
  notificationId?: string
  recipient?: string
  now?: Date
  /** How many events; the provider must take that many in a request. */
  events?: number
}

/** Makes events of new messages, as the provider writes them. */
export function simulateEvents({ provider }: TestHook, options: MessageOptions = {}): unknown[] {
  const { outcome = 'delivered', now: at = new Date(), events = 1 } = options
  const recipient = options.recipient ?? (provider === 'twilio' ? '+15005550006' : 'ada@example.com')
  return Array.from({ length: events }, () => {
    const messageKey = `message-${process.pid}-${messages++}`
    const notificationId = options.notificationId ?? `of-${messageKey}`
    return SIMULATORS[provider].simulate({
      outcome,
      random: Math.random,
      notificationId,
      recipient,
      messageKey,
      at,
    })
  })
}

/** Builds and signs a request as the provider does. */
export const signEvents = (hook: TestHook, events: readonly unknown[], now = new Date()): SimulatedRequest =>
  SIMULATORS[hook.provider].request(
    events,
    { url: PUBLIC_URL + hook.path, secret: hook.secret, topicArn: hook.topicArn },
    now,
  )

/** Builds and signs a request about new messages. */
export const signRequest = (hook: TestHook, options: MessageOptions = {}): SimulatedRequest =>
  signEvents(hook, simulateEvents(hook, options), options.now)

/** Posts a request to an API that plays the one of PUBLIC_URL. */
export function postToHook(apiUrl: string, { url, headers, body }: SimulatedRequest): Promise<Response> {
  return fetch(url.replace(PUBLIC_URL, apiUrl), { method: 'POST', headers, body: new Uint8Array(body) })
}
