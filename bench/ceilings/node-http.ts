import { createServer } from 'node:http'
import { env } from '../peers/contract/env.ts'
import { sayReady, stopOnSignal } from '../peers/contract/process.ts'

/** What Node's HTTP server does with no work at all: not even the body is read. */
const body = JSON.stringify({ success: true })
const server = createServer((_request, response) => {
  response.writeHead(202, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
})
server.listen(env.PORT, '127.0.0.1', sayReady)
stopOnSignal(async () => {
  server.closeAllConnections()
  server.close()
})
