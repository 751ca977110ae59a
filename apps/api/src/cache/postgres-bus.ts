import { POSTGRES_CHANNEL, publishToPostgres } from '@tidings/accounts/cache/changes'
import type { Database } from '@tidings/db/database'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'
import pg from 'pg'
import { deliverMessage, type InvalidationBus, type Subscriber } from './invalidation-bus.ts'

const RECONNECT_MS = 1_000
const CONNECT_TIMEOUT_MS = 5_000

/** Sends changes over LISTEN and NOTIFY, for an installation without Redis. */
export class PostgresBus implements InvalidationBus {
  readonly #db: Database
  readonly #url: string
  readonly #log: Logger
  readonly #subscribers: Subscriber[] = []
  #listener: pg.Client | undefined
  #reconnectTimer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(db: Database, { url, log }: { url: string; log: Logger }) {
    this.#db = db
    this.#url = url
    this.#log = log
    void this.#connect()
  }

  publish(topic: string, ids: readonly string[]): Promise<void> {
    return publishToPostgres(this.#db, topic, ids)
  }

  subscribe(subscriber: Subscriber): void {
    this.#subscribers.push(subscriber)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#reconnectTimer)
    await this.#listener?.end().catch(() => undefined)
  }

  async #connect() {
    const listener = new pg.Client({
      connectionString: this.#url,
      application_name: 'tidings-api-changes',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    })
    this.#listener = listener
    listener.on('notification', ({ payload }) => deliverMessage(this.#subscribers, payload ?? ''))
    listener.on('error', (error) => this.#log.debug({ error: errorMessage(error) }, 'cache listener failed'))
    listener.on('end', () => this.#reconnectLater())
    try {
      await listener.connect()
      await listener.query(`LISTEN ${POSTGRES_CHANNEL}`)
      // Every connect is a gap: notifications sent meanwhile are lost.
      for (const { onGap } of this.#subscribers) onGap()
    } catch (error) {
      this.#log.debug({ error: errorMessage(error) }, 'cache listener cannot connect')
      await listener.end().catch(() => undefined)
      this.#reconnectLater()
    }
  }

  #reconnectLater() {
    if (this.#isClosed || this.#reconnectTimer !== undefined) return
    this.#reconnectTimer = setTimeout(() => {
      this.#reconnectTimer = undefined
      void this.#connect()
    }, RECONNECT_MS)
    this.#reconnectTimer.unref()
  }
}
