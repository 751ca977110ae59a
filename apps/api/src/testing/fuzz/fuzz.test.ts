import { Agent, request as httpRequest } from 'node:http'
import { useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { OpenApiDocument } from '../../openapi/document.ts'
import { register } from '../http.ts'
import { startTestApi, type TestApi } from '../test-api.ts'
import { createAnswerValidator, type ReceivedAnswer } from './answer-validator.ts'
import { arbitraryRequest, type Credential, type FuzzRequest } from './arbitrary-request.ts'

/** FUZZ_RUNS=10000 is the full run. FUZZ_SEED repeats a run: a failure prints the seed and the request. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 2_000)
/** Fixed, so that every run has the same result. */
const SEED = Number(process.env.FUZZ_SEED ?? 42)
/** Statuses that must occur. Only the full run is certain to make a valid registration (201). */
const REACHED = [200, 202, 400, 401, 403, 404, 405, 415, ...(RUNS >= 10_000 ? [201] : [])]

describe('any request made of the OpenAPI document', () => {
  const releaser = useReleaser()
  let api: TestApi
  let document: OpenApiDocument
  let keys: { key: string; 'narrow-key': string }
  let otherUserId: string
  beforeAll(async () => {
    api = await startTestApi(releaser)
    document = (await (await fetch(`${api.apiUrl}/openapi.json`)).json()) as OpenApiDocument
    keys = { key: await api.createKey(), 'narrow-key': await api.createKey('dlq:read') }
    otherUserId = (await register(api.apiUrl, { email: 'other@example.com' })).id
  })

  it(`gets a documented answer, never a 5xx, and stores nothing when refused (seed ${SEED})`, async () => {
    const agent = releaser.add(new Agent({ keepAlive: true }), (a) => a.destroy())
    const validate = createAnswerValidator(document)
    const acceptedIds = new Set<string>()
    const userIds = new Set([otherUserId])
    const statuses = new Map<number, number>()
    let user: { id: string; token: string } | undefined
    let registered = 0

    async function authorization(credential: Credential): Promise<string | undefined> {
      switch (credential) {
        case 'none':
          return undefined
        case 'user':
          if (user === undefined) {
            user = await register(api.apiUrl, { email: `fuzz-${registered++}@example.com` })
            userIds.add(user.id)
          }
          return `Bearer ${user.token}`
        case 'unknown-key':
          return 'Bearer tdk_unknown'
        case 'garbage':
          return 'Bearer a.b.c'
        case 'basic':
          return 'Basic YTpi'
        default:
          return `Bearer ${keys[credential]}`
      }
    }

    /** Records the data that an accepted request must have stored. */
    function record({ path, method, credential }: FuzzRequest, { status, body }: ReceivedAnswer) {
      if (status === 401 && credential === 'user') user = undefined
      if (status >= 300 || method === 'GET' || method === 'HEAD') return
      const { data } = JSON.parse(body)
      if (status === 202)
        for (const item of [data].flat()) if (item.id !== undefined) acceptedIds.add(item.id)
      const isUserErased = method === 'DELETE' && data.id !== undefined
      if (status === 201 && data.user !== undefined) userIds.add(data.user.id)
      if (isUserErased) userIds.delete(data.id)
      if (isUserErased || path.includes('/logout')) user = undefined
    }

    const requests = arbitraryRequest(document, [otherUserId])
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        const answer = await send(api.port, agent, request, await authorization(request.credential))
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        expect(answer.status, 'a 5xx').toBeLessThan(500)
        if (request.method !== 'HEAD') {
          expect(validate(request.path, request.method, answer)).toBeUndefined()
          record(request, answer)
        }
      }),
      { numRuns: RUNS, seed: SEED },
    )

    // Sets: a repeated event is queued twice under one id.
    expect(new Set((await api.listQueued()).map((event) => event.id))).toEqual(acceptedIds)
    const rows = await api.database.pool.query<{ id: string }>('SELECT id FROM users')
    expect(new Set(rows.rows.map((row) => row.id))).toEqual(userIds)
    // Proves that the requests reached the handlers.
    for (const status of REACHED) expect(statuses.keys()).toContain(status)
  }, 600_000)
})

function send(
  port: number,
  agent: Agent,
  { method, path, headers, body }: FuzzRequest,
  authorization: string | undefined,
): Promise<ReceivedAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      agent,
      port,
      host: '127.0.0.1',
      method,
      path,
      headers: {
        ...headers,
        ...(authorization !== undefined && { authorization }),
        // Node's client sends no content-length for the body of a GET by itself.
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
      },
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          contentType: response.headers['content-type'],
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
    request.end(body)
  })
}
