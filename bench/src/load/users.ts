import { userIdOf } from './bodies.ts'
import type { LoadRequest } from './protocol.ts'

const PASSWORD = 'correct horse battery staple'

/** A user of the benchmark who can log in. */
export interface RegisteredUser {
  id: string
  email: string
  accessToken: string
}

/**
 * Registers a user over HTTP.
 *
 * @throws when the API refuses it.
 */
export async function registerUser(apiUrl: string, email: string): Promise<RegisteredUser> {
  const response = await fetch(`${apiUrl}/api/v1/users/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: registerRequest(email).body ?? '',
    signal: AbortSignal.timeout(30_000),
  })
  if (!response.ok) throw new Error(`Registering ${email} answered ${response.status}`)
  const answer = (await response.json()) as { data: { user: { id: string }; token: string } }
  return { id: answer.data.user.id, email, accessToken: answer.data.token }
}

export const registerRequest = (email: string): LoadRequest => ({
  method: 'POST',
  path: '/api/v1/users/',
  body: JSON.stringify({ name: 'Bench User', email, password: PASSWORD }),
})

export const loginRequest = (email: string): LoadRequest => ({
  method: 'POST',
  path: '/api/v1/users/login/',
  body: JSON.stringify({ email, password: PASSWORD }),
})

export const readUserRequest = (id: string): LoadRequest => ({ method: 'GET', path: `/api/v1/users/${id}/` })

/**
 * Random reads of `users` users. The nth user is read in proportion to 1/n (Zipf's law): few users get most of the
 * reads.
 */
export function zipfReads(users: number, requests: number): LoadRequest[] {
  const cumulative: number[] = []
  let total = 0
  for (let n = 1; n <= users; n++) {
    total += 1 / n
    cumulative.push(total)
  }
  return Array.from({ length: requests }, () => {
    const drawn = Math.random() * total
    return readUserRequest(userIdOf(1 + findFirstAbove(cumulative, drawn)))
  })
}

/** Index of the first value above `limit` in an ascending list. */
function findFirstAbove(ascending: readonly number[], limit: number): number {
  let low = 0
  let high = ascending.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] ?? 0) > limit) high = middle
    else low = middle + 1
  }
  return low
}
