import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below the ports that systems give to connections, and to servers that name none: one of those could be given
 * away between the look and its use.
 */
const FIRST_PORT = 20_000
const LAST_PORT = 32_767
const MAX_LOOKS = 100

/** A TCP port on 127.0.0.1 that nobody listens on at this moment, by chance: who looks beside us gets another. */
export async function findFreePort(): Promise<number> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    if (await isPortFree(port, '127.0.0.1')) return port
  }
  throw new Error(`None of ${MAX_LOOKS} ports between ${FIRST_PORT} and ${LAST_PORT} is free`)
}

/**
 * The port on 127.0.0.1 that a URL names, so that what was configured by hand goes on working; a free one when
 * it names none, or one that is taken.
 */
export async function findPortAsBefore(url: string | undefined): Promise<number> {
  const port = url !== undefined && URL.canParse(url) ? Number(new URL(url).port) : 0
  return port > 0 && (await isPortFree(port, '127.0.0.1')) ? port : findFreePort()
}

/** Whether this port can be listened on at this moment. */
export async function isPortFree(port: number, host: string): Promise<boolean> {
  return (await findListenProblem(port, host)) === undefined
}

/** Why this port of this address cannot be listened on at this moment; undefined when it can. */
export async function findListenProblem(
  port: number,
  host: string,
): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
