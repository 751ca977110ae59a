import { expect } from 'vitest'
import type { LoginResult } from '../sessions/login-result.ts'

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

/** A registered user, with the tokens of the registration or the login. */
export interface TestUser {
  id: string
  email: string
  password: string
  token: string
  refreshToken: string
}

export const TEST_PASSWORD = 'correct horse battery 7 staple'

let registered = 0

/** Registers a new user. */
export async function register(
  apiUrl: string,
  given: { email?: string; password?: string; push_token?: string } = {},
): Promise<TestUser> {
  const email = given.email ?? `person-${registered++}-${process.pid}@example.com`
  const password = given.password ?? TEST_PASSWORD
  const reply = await call<LoginResult>(`${apiUrl}/api/v1/users/`, {
    body: { name: 'Test Person', email, password, ...(given.push_token && { push_token: given.push_token }) },
  })
  expect(reply.status, reply.text).toBe(201)
  return toTestUser(reply, password)
}

/** Tries to log in. */
export function attemptLogin(apiUrl: string, email: string, password: string): Promise<Reply<LoginResult>> {
  return call<LoginResult>(`${apiUrl}/api/v1/users/login/`, { body: { email, password } })
}

/** Logs in a user, which must succeed. */
export async function logIn(apiUrl: string, email: string, password: string): Promise<TestUser> {
  const reply = await attemptLogin(apiUrl, email, password)
  expect(reply.status, reply.text).toBe(200)
  return toTestUser(reply, password)
}

/** Exchanges a refresh token. */
export function refresh(apiUrl: string, refreshToken: string): Promise<Reply<LoginResult>> {
  return call<LoginResult>(`${apiUrl}/api/v1/auth/refresh/`, { body: { refresh_token: refreshToken } })
}

/** Reads the user of an access token. */
export function readMe(apiUrl: string, token: string): Promise<Reply> {
  return call(`${apiUrl}/api/v1/users/me/`, { token })
}

function toTestUser({ body }: Reply<LoginResult>, password: string): TestUser {
  const { user, token, refresh_token: refreshToken } = body.data
  return { id: user.id, email: user.email, password, token, refreshToken }
}

/** Removes the request's id from a problem: two equal refusals differ only in it. */
export const withoutInstance = (text: string) => text.replace(/"instance":"[^"]*"/, '"instance":""')
