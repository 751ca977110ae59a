import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runClosedLoop } from './closed-loop.ts'
import type { LoadPlan } from './protocol.ts'

const WARM_UP_SECONDS = 1
const CONNECTIONS = 8

/**
 * Sends the plan's requests to an empty local server first, so that V8 compiles the generator's code before the
 * measurement. A cold generator would slow down fast servers more than slow ones.
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
