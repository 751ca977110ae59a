import { createHash } from 'node:crypto'
import type { CachedUser } from '../cache/caches.ts'

interface RenderedUser {
  body: string
  etag: string
}

const rendered = new WeakMap<CachedUser, RenderedUser>()

/** Returns the answer that shows this user, with its entity tag. Renders each cached user once. */
export function renderUser(cached: CachedUser): RenderedUser {
  let answer = rendered.get(cached)
  if (answer === undefined) {
    const body = JSON.stringify({ success: true, message: 'User found.', data: cached.user })
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
    answer = { body, etag }
    rendered.set(cached, answer)
  }
  return answer
}
