/** A store does not answer. Nothing is known to be wrong with the request. */
export class StoreUnreachableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreUnreachableError'
  }
}
