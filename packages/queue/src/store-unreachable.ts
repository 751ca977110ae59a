/** A store does not answer, or refuses the connection. The request itself may be fine. */
export class StoreUnreachableError extends Error {
  /** The store answers, and refuses the user, the password or a right. */
  readonly isRefusal: boolean
  constructor(
    message: string,
    { isRefusal = false, ...options }: ErrorOptions & { isRefusal?: boolean } = {},
  ) {
    super(message, options)
    this.name = 'StoreUnreachableError'
    this.isRefusal = isRefusal
  }
}
