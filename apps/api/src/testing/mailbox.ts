import type { Database } from '@tidings/db/database'
import { type ClaimedMessage, claimMessages, markQueued } from '@tidings/db/users/claim-messages'
import type { OutboundKind } from '@tidings/shared/outbound-message'

/** Takes the messages that the worker's relay would put on the queue. */
export class Mailbox {
  readonly #database: Database
  readonly #received: ClaimedMessage[] = []

  constructor(database: Database) {
    this.#database = database
  }

  /** Every message to an address so far, the oldest first. */
  async read(to: string): Promise<ClaimedMessage[]> {
    while (await this.#hasPending()) {
      const messages = await claimMessages(this.#database, 1_000)
      const ids = messages.map(({ id }) => id)
      await markQueued(this.#database, ids)
      this.#received.push(...messages)
    }
    return this.#received.filter((message) => message.to === to)
  }

  async #hasPending(): Promise<boolean> {
    const { rows } = await this.#database.pool.query(
      "SELECT FROM outbound_messages WHERE state = 'pending' LIMIT 1",
    )
    return rows.length > 0
  }

  async kindsTo(to: string): Promise<OutboundKind[]> {
    return (await this.read(to)).map(({ kind }) => kind)
  }

  /** The token of the latest link of this kind to an address. */
  async readToken(to: string, kind: OutboundKind): Promise<string> {
    const token = (await this.read(to)).findLast((message) => message.kind === kind)?.token
    if (token === undefined) throw new Error(`There is no link of kind ${kind}`)
    return token
  }

  /** Makes all messages older, so that the limits of messages allow further ones. */
  async age(minutes: number): Promise<void> {
    await this.#database.pool.query(
      "UPDATE outbound_messages SET created_at = created_at - $1 * interval '1 minute'",
      [minutes],
    )
  }
}
