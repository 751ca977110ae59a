import type { HookRequest } from './provider.ts'

/** A header's only value. A header that came twice counts as absent: which of them did the provider send? */
export function readHeader({ headers }: HookRequest, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}
