import { connect as connectPlain } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, type RedisOptions } from 'ioredis'

/**
 * Makes a connector to one node that reports why a connection was not opened. A cluster's own errors only say that it is
 * closed, also when a certificate was refused.
 */
export function createClusterConnector(
  onError: (error: Error) => void,
): new (
  options: unknown,
) => AbstractConnector {
  return class ClusterConnector extends AbstractConnector {
    readonly #options: RedisOptions

    // ioredis declares connectors with options of an unknown type.
    constructor(options: unknown) {
      super((options as RedisOptions).disconnectTimeout ?? 0)
      this.#options = options as RedisOptions
    }

    override async connect() {
      const { host = '', port = 0, tls } = this.#options
      this.connecting = true
      const stream = tls ? connectTls({ host, port, ...tls }) : connectPlain({ host, port })
      this.stream = stream
      stream.once('error', (error) => {
        this.firstError = error
        onError(error)
      })
      return stream
    }
  }
}
