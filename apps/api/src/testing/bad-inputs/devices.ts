import { ABSENT_ID, type BadInput, CANARY, INVALID } from './bad-input.ts'

const DEVICES = '/api/v1/users/me/devices/'
const SESSIONS = '/api/v1/auth/sessions/'
const device = (fields: object) => ({ platform: 'fcm', token: CANARY, ...fields })
const put = { method: 'PUT', path: `${DEVICES}phone/`, credential: 'user' } as const

const NOT_FOUND = { status: 404, error: 'not_found' } as const

export const deviceFields: BadInput[] = [
  { ...put, name: 'a device without a body', status: 400, error: 'malformed_json' },
  { ...put, name: 'a device as a list', body: [], ...INVALID },
  { ...put, name: 'a device without a token', body: { platform: 'fcm' }, ...INVALID, pointer: '/token' },
  { ...put, name: 'a device without a platform', body: { token: CANARY }, ...INVALID, pointer: '/platform' },
  {
    ...put,
    name: 'an unknown platform',
    body: device({ platform: CANARY }),
    ...INVALID,
    pointer: '/platform',
  },
  {
    ...put,
    name: 'a platform in capitals',
    body: device({ platform: 'FCM' }),
    ...INVALID,
    pointer: '/platform',
  },
  ...[
    null,
    '',
    5,
    ['a'],
    `${CANARY}\0`,
    `${CANARY}\n`,
    `${CANARY}\u202e`,
    '\u200b',
    '\ud800',
    'x'.repeat(4097),
  ].map(
    (token, n): BadInput => ({
      ...put,
      name: `device token ${n}`,
      body: device({ token }),
      ...INVALID,
      pointer: '/token',
    }),
  ),
  ...['', '\u2800', 'x'.repeat(256), `a\r\nb`].map(
    (app, n): BadInput => ({
      ...put,
      name: `device app ${n}`,
      body: device({ app }),
      ...INVALID,
      pointer: '/app',
    }),
  ),
  {
    ...put,
    name: 'a device environment that is too long',
    body: device({ environment: 'x'.repeat(65) }),
    ...INVALID,
    pointer: '/environment',
  },
  ...['user_id', 'device_id', 'last_seen_at'].map(
    (field): BadInput => ({
      ...put,
      name: `${field} of a device`,
      body: device({ [field]: ABSENT_ID }),
      ...INVALID,
      pointer: `/${field}`,
    }),
  ),
  {
    ...put,
    name: 'a device over 64 KB',
    body: device({ token: 'x'.repeat(70_000) }),
    status: 413,
    error: 'payload_too_large',
  },
  {
    ...put,
    name: 'a device of a service',
    credential: 'key',
    body: device({}),
    status: 403,
    error: 'forbidden',
  },
  {
    ...put,
    name: 'a device of nobody',
    credential: 'none',
    body: device({}),
    status: 401,
    error: 'unauthorized',
  },
  {
    ...put,
    name: "a device of another user's id",
    path: `/api/v1/users/${ABSENT_ID}/devices/phone/`,
    body: device({}),
    ...NOT_FOUND,
  },
]

const UNUSABLE_IDS = ['a%0Ab', 'a%20b', 'a%2Fb', '%E2%80%AE', '%E2%80%8B', 'x'.repeat(129)]

export const deviceAndSessionIds: BadInput[] = [
  ...UNUSABLE_IDS.flatMap((id): BadInput[] => {
    const path = `${DEVICES}${id}/`
    const name = `device id ${id.slice(0, 20)}`
    const refused = { path, credential: 'user', ...INVALID, pointer: '/device_id' } as const
    return [
      { ...put, ...refused, name: `PUT with ${name}`, body: device({}) },
      { ...refused, name: `DELETE with ${name}`, method: 'DELETE' },
      { path, credential: 'user', name: `GET with ${name}`, method: 'GET', ...NOT_FOUND },
    ]
  }),
  ...['%00', '%C0%AF', '%zz'].map(
    (id): BadInput => ({
      ...put,
      name: `PUT with device id ${id}`,
      path: `${DEVICES}${id}/`,
      body: device({}),
      ...NOT_FOUND,
    }),
  ),
  {
    name: 'DELETE of an absent device',
    method: 'DELETE',
    path: `${DEVICES}${CANARY}/`,
    credential: 'user',
    ...NOT_FOUND,
  },
  {
    name: "GET of an absent user's devices",
    method: 'GET',
    path: `/api/v1/users/${ABSENT_ID}/devices/`,
    ...NOT_FOUND,
  },
  { name: "GET of a service's own devices", method: 'GET', path: DEVICES, ...NOT_FOUND },
  ...['x', '1', '%00', `${ABSENT_ID}%00`, `{${ABSENT_ID}}`, ABSENT_ID].map(
    (id): BadInput => ({
      name: `DELETE of the session ${id}`,
      method: 'DELETE',
      path: `${SESSIONS}${id}/`,
      credential: 'user',
      ...NOT_FOUND,
    }),
  ),
  {
    name: 'DELETE of a session by a service',
    method: 'DELETE',
    path: `${SESSIONS}${ABSENT_ID}/`,
    status: 403,
    error: 'forbidden',
  },
]
