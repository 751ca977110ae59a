import type { Database } from '@tidings/db/database'
import { findUsers, type UserRow } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import { digestRecipient } from '@tidings/shared/recipient'
import type { NotificationType } from '@tidings/shared/status-event'

/** How a request names the recipient of a channel: exactly one of these. */
export interface NamedRecipient {
  channel: NotificationType
  recipient?: string | undefined
  digest?: string | undefined
  user_id?: string | undefined
}

/** Turns addresses, tokens and users into the digests that suppressions are kept under. */
export class RecipientFinder {
  readonly #db: Database
  readonly #recipientKey: string

  constructor({ db, recipientKey }: { db: Database; recipientKey: string }) {
    this.#db = db
    this.#recipientKey = recipientKey
  }

  digest(channel: NotificationType, recipient: string): string {
    return digestRecipient(this.#recipientKey, channel, recipient)
  }

  /**
   * Returns the digests of one recipient: several for a user with several tokens.
   *
   * @throws AppError `not_found` for an unknown user, and for one without a token.
   */
  async requireDigests({ channel, recipient, digest, user_id }: NamedRecipient): Promise<string[]> {
    if (recipient !== undefined) return [this.digest(channel, recipient)]
    if (digest !== undefined) return [digest]
    const digests = (await this.findByUser(channel, [user_id ?? ''])).get(user_id ?? '') ?? []
    if (digests.length === 0)
      throw new AppError('not_found', 'There is no such user, or the user has no push token.')
    return digests
  }

  /** The digests of the current address or tokens of each user. Leaves out unknown users. Not from a cache. */
  async findByUser(
    channel: NotificationType,
    userIds: readonly string[],
  ): Promise<ReadonlyMap<string, string[]>> {
    const users = await findUsers(this.#db, userIds)
    return new Map(
      users.map((user) => [
        user.id,
        recipientsOf(channel, user).map((recipient) => this.digest(channel, recipient)),
      ]),
    )
  }
}

const recipientsOf = (channel: NotificationType, { email, devices }: UserRow): string[] =>
  channel === 'email' ? [email] : devices.map(({ token }) => token)
