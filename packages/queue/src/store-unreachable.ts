/** A store does not answer. The request itself may be fine. */
export class StoreUnreachableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreUnreachableError'
  }
}
