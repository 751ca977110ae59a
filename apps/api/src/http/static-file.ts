import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { ApiContext } from './context.ts'

type Bytes = Uint8Array<ArrayBuffer>

const compress = promisify(gzip)

/**
 * Makes a handler that answers with a file. It is read and compressed once, at the first request. All answers share
 * the two copies, so an answer that a client does not read costs no memory of its own.
 */
export function staticFile(
  read: () => Promise<Bytes>,
  headers: Readonly<Record<string, string>>,
): (c: ApiContext) => Promise<Response> {
  let loading: Promise<{ plain: Bytes; gzipped: Bytes }> | undefined
  async function load() {
    const plain = await read()
    return { plain, gzipped: await compress(plain) }
  }
  return async (c) => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    const { plain, gzipped } = await loading
    if (!acceptsGzip(c.env.incoming.headers['accept-encoding']))
      return new Response(plain, { headers: { ...headers, vary: 'accept-encoding' } })
    return new Response(gzipped, {
      headers: { ...headers, vary: 'accept-encoding', 'content-encoding': 'gzip' },
    })
  }
}

const GZIP = /(?:^|,)\s*gzip\s*(?:;\s*q=([\d.]+)\s*)?(?:,|$)/i

function acceptsGzip(acceptEncoding = ''): boolean {
  const match = GZIP.exec(acceptEncoding)
  return match !== null && Number(match[1] ?? 1) > 0
}
