import type { System } from './system.ts'

/** Posts one event to an API once, apart from the load. The caller checks the answer. */
export function postStatus(
  { serviceKey }: Pick<System, 'serviceKey'>,
  url: string | undefined,
  body: Record<string, unknown>,
  type: 'email' | 'push' = 'email',
): Promise<Response> {
  return fetch(`${url}/api/v1/${type}/status/`, {
    method: 'POST',
    headers: { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ status: 'sent', ...body }),
  })
}
