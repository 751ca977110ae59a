import type { HookRequest } from './provider.ts'

/** A header that was sent once. `name` is in lower case. */
export function readHeader({ headers }: HookRequest, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}
