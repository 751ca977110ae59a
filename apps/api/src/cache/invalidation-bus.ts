import type { Database } from '@tidings/db/database'
import { openRedis } from '@tidings/queue/backend'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import type { Redis } from 'ioredis'
import pg from 'pg'
import { z } from 'zod'
import { parseText } from './parse-json.ts'

/** Tells every replica of the API that something cached has changed. */
export interface InvalidationBus {
  /** Resolves when the message is on its way. Rejects when it could not be sent. */
  publish(topic: string, ids: readonly string[]): Promise<void>
  subscribe(subscriber: Subscriber): void
  close(): Promise<void>
}

export interface Subscriber {
  /** Changes, those published by this process too. */
  onChange(topic: string, ids: readonly string[]): void
  /** The connection was lost for a while, or a message cannot be read: any change may have been missed. */
  onGap(): void
}

const messageSchema = z.object({ topic: z.string(), ids: z.array(z.string()) })

function deliver(subscribers: readonly Subscriber[], text: string) {
  const message = parseText(messageSchema, text)
  for (const { onChange, onGap } of subscribers) {
    if (message === undefined) onGap()
    else onChange(message.topic, message.ids)
  }
}

/** Over Redis pub/sub, with a connection of its own to listen on. `redis` publishes and stays the caller's. */
export function createRedisBus(
  redis: Redis,
  options: { url: string; prefix: string; log: Logger },
): InvalidationBus {
  const { url, prefix, log } = options
  const channel = `${prefix}:cache:changes`
  const subscribers: Subscriber[] = []
  const listener = openRedis(url, 'patient', (error) =>
    log.debug({ error: errorMessage(error) }, 'cache listener lost its connection'),
  )
  // Also after a reconnect, when whatever was said meanwhile is lost. Not before it listens again: what is read
  // in between may change without a word.
  listener.on('ready', async () => {
    await listener.subscribe(channel).catch(() => undefined)
    for (const { onGap } of subscribers) onGap()
  })
  listener.on('message', (_channel: string, text: string) => deliver(subscribers, text))
  return {
    async publish(topic, ids) {
      await redis.publish(channel, JSON.stringify({ topic, ids }))
    },
    subscribe: (subscriber) => void subscribers.push(subscriber),
    async close() {
      listener.disconnect()
    },
  }
}

const PG_CHANNEL = 'tidings_cache_changes'
/** PostgreSQL refuses notifications of 8,000 bytes. */
const IDS_PER_NOTIFICATION = 100
const RECONNECT_MS = 1_000

/** Over LISTEN and NOTIFY, where there is no Redis. */
export function createPostgresBus(db: Database, options: { url: string; log: Logger }): InvalidationBus {
  const { url, log } = options
  const subscribers: Subscriber[] = []
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  async function connect() {
    const next = new pg.Client({
      connectionString: url,
      application_name: 'tidings-api-changes',
      keepAlive: true,
    })
    client = next
    next.on('notification', ({ payload }) => deliver(subscribers, payload ?? ''))
    next.on('error', (error) => log.debug({ error: errorMessage(error) }, 'cache listener failed'))
    next.on('end', reconnectLater)
    try {
      await next.connect()
      await next.query(`LISTEN ${PG_CHANNEL}`)
      for (const { onGap } of subscribers) onGap()
    } catch (error) {
      log.debug({ error: errorMessage(error) }, 'cache listener cannot connect')
      await next.end().catch(() => undefined)
      reconnectLater()
    }
  }

  function reconnectLater() {
    if (closed || timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      void connect()
    }, RECONNECT_MS)
    timer.unref()
  }

  void connect()
  return {
    async publish(topic, ids) {
      for (let from = 0; from < ids.length; from += IDS_PER_NOTIFICATION) {
        const part = ids.slice(from, from + IDS_PER_NOTIFICATION)
        await db.pool.query('SELECT pg_notify($1, $2)', [PG_CHANNEL, JSON.stringify({ topic, ids: part })])
      }
    },
    subscribe: (subscriber) => void subscribers.push(subscriber),
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  }
}
