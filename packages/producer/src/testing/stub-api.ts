import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'

const batchSchema = z.object({
  events: z.array(z.looseObject({ event_id: z.string(), notification_id: z.string() })),
})
type SentEvent = z.infer<typeof batchSchema>['events'][number]

export interface StubRequest {
  path: string
  /** By performance.now(). */
  at: number
  events: SentEvent[]
}

/** Answers one request. */
export type Answer = (response: ServerResponse, events: readonly SentEvent[]) => unknown

/** A server in the API's place that answers as a test says. */
export interface StubApi {
  url: string
  requests: StubRequest[]
  /** How many connections were opened. */
  connections(): number
}

/** Accepts every event. */
const acceptAll: Answer = (response, events) =>
  respond(response, 202, { data: events.map(() => ({ accepted: true })) })

export const answerWith =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) => {
    respond(response, status, {}, headers)
  }

/** Never answers. */
export const stayQuiet: Answer = () => {}

export function respond(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** Stops the server when a test releases what it opened. */
interface TestReleaser {
  onRelease(release: () => void): void
}

/** @param answers of the first requests; later ones are accepted. */
export async function startStubApi(releaser: TestReleaser, ...answers: Answer[]): Promise<StubApi> {
  const requests: StubRequest[] = []
  let connections = 0
  const server = createServer(async (request, response) => {
    const { events } = batchSchema.parse(await json(request))
    requests.push({ path: request.url ?? '', at: performance.now(), events })
    const answer = answers.shift() ?? acceptAll
    await answer(response, events)
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  releaser.onRelease(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    connections: () => connections,
  }
}
