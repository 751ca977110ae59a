import { userIdOf } from './bodies.ts'
import type { LoadRequest } from './protocol.ts'

const PASSWORD = 'correct horse battery staple'

/** An account of the benchmark that can log in. */
export interface Account {
  id: string
  email: string
  accessToken: string
}

/** Registers an account over HTTP, as a person would. */
export async function registerAccount(apiUrl: string, email: string): Promise<Account> {
  const response = await fetch(`${apiUrl}/api/v1/users/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: registerRequest(email).body ?? '',
    signal: AbortSignal.timeout(30_000),
  })
  const answer = (await response.json()) as { data: { user: { id: string }; token: string } }
  if (!response.ok) throw new Error(`Registering ${email} answered ${response.status}`)
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
 * Reads of `users` users, the nth as often as 1/n says (Zipf's law), in random order: a few are read all the
 * time, most now and then.
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

/** Index of the first value above `limit` in a rising list. */
function findFirstAbove(rising: readonly number[], limit: number): number {
  let low = 0
  let high = rising.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rising[middle] ?? 0) > limit) high = middle
    else low = middle + 1
  }
  return low
}
