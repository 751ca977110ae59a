import { type BadInput, CANARY, event } from './bad-input.ts'

/** Missing and wrong credentials, and the order of the API's checks. */
export const credentials: BadInput[] = [
  { name: 'no credential', credential: 'none', body: event({}), status: 401, error: 'unauthorized' },
  ...[
    'Bearer',
    'Bearer ',
    'Bearer tdk_unknown',
    `Bearer ${CANARY}`,
    'Basic dGRrX3g6eA==',
    'Bearer a b',
    'tdk_x',
  ].map(
    (authorization): BadInput => ({
      name: `Authorization: ${authorization}`,
      credential: 'none',
      headers: { authorization },
      body: event({}),
      status: 401,
      error: 'unauthorized',
    }),
  ),
  {
    name: 'a user token for reporting a status',
    credential: 'user',
    body: event({}),
    status: 403,
    error: 'forbidden',
    reason: 'This needs a service key with the scope status:write:email.',
  },
  {
    name: 'a service key for a route of users',
    method: 'GET',
    path: '/api/v1/auth/sessions/',
    status: 403,
    error: 'forbidden',
  },
  // Two faults at once: the first check in order decides.
  {
    name: 'an unsupported method, checked first',
    method: 'PUT',
    credential: 'none',
    body: '{',
    status: 405,
    error: 'method_not_allowed',
  },
  ...['GET', 'PATCH', 'DELETE'].map(
    (method): BadInput => ({
      name: `${method} on the login path`,
      method,
      path: '/api/v1/users/login/',
      credential: method === 'GET' ? 'none' : 'user',
      status: 405,
      error: 'method_not_allowed',
    }),
  ),
  {
    name: 'no credential, checked before the content type',
    credential: 'none',
    headers: { 'content-type': 'text/plain' },
    body: '{',
    status: 401,
    error: 'unauthorized',
  },
  {
    name: 'a bad content type, checked before the size',
    headers: { 'content-type': 'text/plain' },
    body: 'x'.repeat(70_000),
    status: 415,
    error: 'unsupported_media_type',
  },
  {
    name: 'a large body, checked before its JSON',
    body: 'x'.repeat(70_000),
    status: 413,
    error: 'payload_too_large',
  },
  {
    name: 'a CORS preflight while CORS is off',
    method: 'OPTIONS',
    path: '/api/v1/users/login/',
    credential: 'none',
    headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    status: 405,
    error: 'method_not_allowed',
  },
  {
    name: '/admin/queues while ADMIN_UI_ENABLED is false',
    method: 'GET',
    path: '/admin/queues/',
    status: 404,
    error: 'not_found',
  },
]
