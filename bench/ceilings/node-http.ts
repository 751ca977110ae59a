import { createServer } from 'node:http'
import { readContenderEnv } from '../peers/contract/env.ts'
import { sayReady, stopOnSignal } from '../peers/contract/process.ts'

/** Node's HTTP server without any work. It does not even read the body. */
const body = JSON.stringify({ success: true })
const server = createServer((_request, response) => {
  response.writeHead(202, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
})
server.listen(readContenderEnv().PORT, '127.0.0.1', sayReady)
stopOnSignal(async () => {
  server.closeAllConnections()
  server.close()
})
