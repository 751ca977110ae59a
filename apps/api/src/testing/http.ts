import { expect } from 'vitest'

/** An answer of the API, as tests read it. */
export interface Reply<Data = Record<string, unknown>> {
  status: number
  headers: Headers
  /** The body as the API sent it. */
  text: string
  body: {
    success: boolean
    message: string
    data: Data
    error?: string
    errors?: { pointer: string; code: string; message: string }[]
    meta?: { limit: number; next_cursor: string | null; has_next: boolean }
  }
}

export interface CallOptions {
  method?: string
  token?: string | undefined
  body?: unknown
  headers?: Record<string, string>
}

/** Calls the API. An empty body is read as an empty envelope. */
export async function call<Data = Record<string, unknown>>(
  url: string,
  { method, token, body, headers }: CallOptions = {},
): Promise<Reply<Data>> {
  const response = await fetch(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      // A stopping API waits up to 4 s for requests on open connections.
      connection: 'close',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: text === '' ? { success: false, message: '', data: {} as Data } : JSON.parse(text),
  }
}

/** A registered user with the tokens of the registration. */
export interface TestUser {
  id: string
  email: string
  password: string
  token: string
  refreshToken: string
}

interface GrantData {
  user: { id: string; email: string }
  token: string
  refresh_token: string
  expires_in: number
}

let registered = 0

/** Registers a new user. */
export async function register(
  apiUrl: string,
  given: { email?: string; password?: string; push_token?: string } = {},
): Promise<TestUser> {
  const email = given.email ?? `person-${registered++}-${process.pid}@example.com`
  const password = given.password ?? 'correct horse battery'
  const reply = await call<GrantData>(`${apiUrl}/api/v1/users/`, {
    body: { name: 'Test Person', email, password, ...(given.push_token && { push_token: given.push_token }) },
  })
  expect(reply.status, reply.text).toBe(201)
  return toTestUser(reply, password)
}

/** Logs a user in. */
export async function logIn(apiUrl: string, email: string, password: string): Promise<TestUser> {
  const reply = await call<GrantData>(`${apiUrl}/api/v1/users/login/`, { body: { email, password } })
  expect(reply.status, reply.text).toBe(200)
  return toTestUser(reply, password)
}

function toTestUser({ body }: Reply<GrantData>, password: string): TestUser {
  const { user, token, refresh_token: refreshToken } = body.data
  return { id: user.id, email: user.email, password, token, refreshToken }
}
