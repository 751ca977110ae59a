import { changeMessageSchema } from '@tidings/accounts/cache/changes'
import { parseJson } from './parse-json.ts'

/** Tells every replica of the API that something cached has changed. */
export interface InvalidationBus {
  /** Resolves when the message is sent. Rejects when it could not be sent. */
  publish(topic: string, ids: readonly string[]): Promise<void>
  subscribe(subscriber: Subscriber): void
  close(): Promise<void>
}

export interface Subscriber {
  /** A change, also one that this process published. */
  onChange(topic: string, ids: readonly string[]): void
  /** The connection was lost, or a message cannot be read: any change may have been missed. */
  onGap(): void
}

/** Hands a message to the subscribers. A message that cannot be read counts as a gap. */
export function deliverMessage(subscribers: readonly Subscriber[], text: string): void {
  const message = parseJson(changeMessageSchema, text)
  for (const subscriber of subscribers) {
    if (message === undefined) subscriber.onGap()
    else subscriber.onChange(message.topic, message.ids)
  }
}
