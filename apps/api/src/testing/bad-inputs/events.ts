import { ABSENT_ID, BATCH_PATH, type BadInput, CANARY, event, INVALID, USERS_PATH } from './bad-input.ts'

export const statusFields: BadInput[] = [
  ...[
    '+010000-01-01T00:00:00Z',
    '10000-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    'infinity',
    'now',
    '2026-02-30T00:00:00Z',
    '2026-01-01T00:00:00',
    '2016-12-31T23:59:60Z',
    '2026-01-01',
    new Date(Date.now() + 25 * 60 * 60 * 1000).toISOString(),
    '',
    0,
  ].map(
    (timestamp): BadInput => ({
      name: `timestamp ${timestamp}`,
      body: event({ timestamp }),
      ...INVALID,
      pointer: '/timestamp',
    }),
  ),
  { name: 'an unknown status', body: event({ status: CANARY }), status: 400, error: 'invalid_status' },
  { name: 'a status in capitals', body: event({ status: 'SENT' }), status: 400, error: 'invalid_status' },
  {
    name: 'an error of an unknown class',
    body: event({ status: 'failed', error: { class: 'other', message: 'No.' } }),
    ...INVALID,
    pointer: '/error',
    reason: 'class (transient, permanent, config)',
  },
  { name: 'failed without error', body: event({ status: 'failed' }), status: 400, error: 'missing_error' },
  {
    name: 'bounced, error null',
    body: event({ status: 'bounced', error: null }),
    status: 400,
    error: 'missing_error',
  },
  {
    name: 'failed, error empty',
    body: event({ status: 'failed', error: '' }),
    ...INVALID,
    pointer: '/error',
  },
  {
    name: 'an unknown notification type',
    path: '/api/v1/sms/status/',
    body: event({}),
    status: 400,
    error: 'invalid_notification_type',
  },
  {
    name: 'a number beyond 2^53 in metadata',
    body: `{"notification_id": "n", "status": "sent", "metadata": {"order": 12345678901234567890}}`,
    ...INVALID,
    pointer: '/metadata',
    reason: 'Send larger ones as text.',
  },
  { name: 'null for a required field', body: event({ status: null }), ...INVALID, pointer: '/status' },
  { name: 'an invalid user id', body: event({ user_id: CANARY }), ...INVALID, pointer: '/user_id' },
  { name: 'an empty batch', path: BATCH_PATH, body: { events: [] }, ...INVALID, pointer: '/events' },
  {
    name: '501 events',
    path: BATCH_PATH,
    body: { events: Array(501).fill(event({})) },
    ...INVALID,
    pointer: '/events',
  },
  { name: 'a single event as a batch', path: BATCH_PATH, body: event({}), ...INVALID, pointer: '/events' },
  {
    name: 'an Idempotency-Key that is too long',
    headers: { 'idempotency-key': 'k'.repeat(129) },
    body: event({}),
    ...INVALID,
  },
  {
    name: 'an Idempotency-Key of a batch without room for the index',
    path: BATCH_PATH,
    headers: { 'idempotency-key': 'k'.repeat(125) },
    body: { events: [event({})] },
    ...INVALID,
  },
  ...['.', '..'].map(
    (notification_id): BadInput => ({
      name: `notification id ${notification_id}`,
      body: { notification_id, status: 'sent' },
      ...INVALID,
      pointer: '/notification_id',
    }),
  ),
  {
    name: 'NUL in another field than events',
    path: BATCH_PATH,
    body: { events: [event({})], note: '\0' },
    ...INVALID,
  },
]

const forgedCursor = (ms: number) => Buffer.from(`${ms} ${ABSENT_ID}`).toString('base64url')
export const queries: BadInput[] = [
  {
    name: 'an unknown query parameter of a list',
    method: 'GET',
    path: `${USERS_PATH}?email=${CANARY}`,
    credential: 'key',
    ...INVALID,
    pointer: '/email',
    reason: 'Not known here: email.',
  },
  {
    name: 'an unknown query parameter that does not look like one',
    method: 'GET',
    path: `/api/v1/status/history/?${CANARY}=1`,
    credential: 'user',
    ...INVALID,
    reason: 'Unknown fields are not allowed here.',
  },
  {
    name: 'a query parameter given twice',
    method: 'GET',
    path: '/api/v1/status/history/?type=email&type=push',
    credential: 'user',
    ...INVALID,
    pointer: '/type',
  },
  ...[253_402_300_800_000, -1, -62_135_596_800_001, 999_999_999_999_999].map(
    (ms): BadInput => ({
      name: `a list cursor at ${ms}`,
      method: 'GET',
      path: `${USERS_PATH}?cursor=${forgedCursor(ms)}`,
      credential: 'key',
      ...INVALID,
      pointer: '/cursor',
    }),
  ),
  ...[
    'from=0000-01-01T00:00:00Z',
    'from=0001-01-01T00:00:00%2B14:00',
    'to=9999-12-31T23:59:59-12:00',
    'to=yesterday',
  ].map(
    (query): BadInput => ({
      name: `history ${query}`,
      method: 'GET',
      path: `/api/v1/status/history/?${query}`,
      credential: 'user',
      ...INVALID,
    }),
  ),
]
