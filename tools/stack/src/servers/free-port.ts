import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { readFileIfExists } from '@tidings/runtime/read-file-if-exists'

/**
 * Below the ports that systems assign to outgoing connections and to servers without a port: one of those could be
 * taken between the check and its use.
 */
const FIRST_PORT = 20_000
const LAST_PORT = 32_767
const MAX_CHECKS = 100

/** Returns a TCP port on 127.0.0.1 that is free now. It is random, so that concurrent callers get different ones. */
export async function findFreePort(): Promise<number> {
  for (let checks = 0; checks < MAX_CHECKS; checks++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    if (await isPortFree(port, '127.0.0.1')) return port
  }
  throw new Error(`None of ${MAX_CHECKS} ports between ${FIRST_PORT} and ${LAST_PORT} is free`)
}

/**
 * Returns the port of `previousUrl` when it is free on 127.0.0.1, and another free port otherwise. Clients that were
 * configured by hand keep working when a server keeps its port.
 */
export function findSamePort(previousUrl: string | undefined): Promise<number> {
  const isUrl = previousUrl !== undefined && URL.canParse(previousUrl)
  return findPortLike(isUrl ? Number(new URL(previousUrl).port) : 0)
}

/** Returns the port that a server wrote into its data folder when it is free, and another free port otherwise. */
export const findRememberedPort = (portFile: string): Promise<number> =>
  findPortLike(Number(readFileIfExists(portFile) ?? 0))

const findPortLike = async (port: number) =>
  port > 0 && (await isPortFree(port, '127.0.0.1')) ? port : findFreePort()

/** Tells whether a server can listen on this port now. */
export async function isPortFree(port: number, host: string): Promise<boolean> {
  return (await findListenProblem(port, host)) === undefined
}

/** Returns the error of listening on this port and address now, or undefined when that works. */
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
