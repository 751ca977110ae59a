import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runClosedLoop } from './closed-loop.ts'
import type { LoadPlan } from './protocol.ts'

const WARM_UP_SECONDS = 1
const CONNECTIONS = 8

/**
 * Sends the plan's requests to a server of its own first, which answers them with nothing: a generator whose own
 * code is still being compiled holds up the fast servers more than the slow ones.
 */
export async function warmUp(plan: LoadPlan): Promise<void> {
  const server = createServer((request, response) => {
    request
      .resume()
      .once('end', () => response.writeHead(202, { 'content-type': 'application/json' }).end('{}'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const { amount: _, ...rest } = plan
  await runClosedLoop({
    ...rest,
    url: `http://127.0.0.1:${port}`,
    connections: CONNECTIONS,
    seconds: WARM_UP_SECONDS,
  })
  server.close()
}
