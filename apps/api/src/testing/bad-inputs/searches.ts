import { type BadInput, CANARY, INVALID } from './bad-input.ts'

const EVENTS_PATH = '/api/v1/events/'
const LOOKUP_PATH = '/api/v1/notifications/lookup/'
const DAY_AGO = new Date(Date.now() - 86_400_000).toISOString()

/** Searches and look-ups. */
export const searches: BadInput[] = [
  ...[
    ['no condition', ''],
    ['nothing but a source', `source=${CANARY}`],
    ['nothing but a provider, a status and a type', 'provider=ses&status=sent&type=email'],
    ['a time range without a beginning', `to=${DAY_AGO}`],
    ['a time range of 32 days', `from=2026-01-01T00:00:00Z&to=2026-02-02T00:00:00Z`],
    ['a time range from long ago to now', 'from=2020-01-01T00:00:00Z&status=bounced'],
  ].map(
    ([name, query]): BadInput => ({
      name: `a search with ${name}`,
      method: 'GET',
      path: `${EVENTS_PATH}?${query}`,
      ...INVALID,
      pointer: '/from',
      reason: 'Give at least one of user_id, recipient, provider_message_id',
    }),
  ),
  ...[
    ['user_id', CANARY],
    ['recipient', ''],
    ['provider_message_id', 'x'.repeat(256)],
    ['notification_id', ''],
    ['notification_id_prefix', 'ab'],
    ['error_code', 'x'.repeat(129)],
    ['type', CANARY],
    ['email', CANARY],
    ['recipient_digest', CANARY],
    ['limit', '101'],
    ['from', 'yesterday'],
    ['cursor', CANARY],
  ].map(
    ([parameter, value]): BadInput => ({
      name: `a search whose ${parameter} is ${JSON.stringify(value?.slice(0, 20))}`,
      method: 'GET',
      path: `${EVENTS_PATH}?source=s&${parameter}=${value}`,
      ...INVALID,
      pointer: `/${parameter}`,
    }),
  ),
  {
    name: 'a search for a NUL character',
    method: 'GET',
    path: `${EVENTS_PATH}?notification_id=a%00b`,
    ...INVALID,
    pointer: '/notification_id',
  },
  {
    name: 'a search for two recipients',
    method: 'GET',
    path: `${EVENTS_PATH}?recipient=${CANARY}@example.com&recipient=b@example.com`,
    ...INVALID,
    pointer: '/recipient',
  },
  {
    name: 'a search by a user',
    method: 'GET',
    path: `${EVENTS_PATH}?notification_id=n`,
    credential: 'user',
    status: 403,
    error: 'forbidden',
    reason: 'status:read',
  },
  {
    name: 'a look-up of nothing',
    path: LOOKUP_PATH,
    body: { notifications: [] },
    ...INVALID,
    pointer: '/notifications',
  },
  {
    name: 'a look-up of 501 notifications',
    path: LOOKUP_PATH,
    body: { notifications: Array(501).fill({ notification_id: 'n', notification_type: 'email' }) },
    ...INVALID,
    pointer: '/notifications',
  },
  {
    name: 'a look-up without a type',
    path: LOOKUP_PATH,
    body: { notifications: [{ notification_id: CANARY }] },
    ...INVALID,
    pointer: '/notifications/0/notification_type',
  },
  {
    name: 'a look-up of ids alone',
    path: LOOKUP_PATH,
    body: [CANARY],
    ...INVALID,
  },
  {
    name: 'a look-up by a user',
    path: LOOKUP_PATH,
    credential: 'user',
    body: { notifications: [{ notification_id: 'n', notification_type: 'email' }] },
    status: 403,
    error: 'forbidden',
  },
]
