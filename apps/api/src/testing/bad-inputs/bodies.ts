import { BATCH_PATH, type BadInput, CANARY, event, INVALID } from './bad-input.ts'

const nested = (levels: number): unknown => (levels === 0 ? CANARY : { a: nested(levels - 1) })

export const malformed: BadInput[] = [
  { name: 'malformed JSON', body: `{"notification_id": "${CANARY}",`, status: 400, error: 'malformed_json' },
  { name: 'an empty body', body: '', status: 400, error: 'malformed_json' },
  { name: 'no body', status: 400, error: 'malformed_json' },
  { name: 'only blanks', body: '   ', status: 400, error: 'malformed_json' },
  { name: 'form fields', body: `notification_id=${CANARY}`, status: 400, error: 'malformed_json' },
  {
    name: 'invalid UTF-8',
    body: Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
    status: 400,
    error: 'invalid_encoding',
  },
  { name: 'null', body: 'null', ...INVALID },
  { name: 'a list', body: '[]', ...INVALID },
  { name: 'text', body: '"x"', ...INVALID },
  { name: 'missing fields', body: '{}', ...INVALID, pointer: '/notification_id' },
  { name: 'a wrong type', body: event({ notification_id: 5 }), ...INVALID, pointer: '/notification_id' },
  { name: 'NUL in text', body: event({ notification_id: `${CANARY}\0` }), ...INVALID },
  { name: 'NUL in a key', body: event({ [`${CANARY}\0`]: 1 }), ...INVALID },
  { name: 'NUL in metadata', body: event({ metadata: { a: [`${CANARY}\0`] } }), ...INVALID },
  { name: 'a lone surrogate', body: `{"notification_id": "${CANARY}\\ud800", "status": "sent"}`, ...INVALID },
  { name: 'nesting over 32', body: event({ metadata: nested(40) }), ...INVALID },
  { name: 'nesting that fills the body', body: '['.repeat(30_000) + ']'.repeat(30_000), ...INVALID },
  { name: '__proto__', body: `{"notification_id": "n", "status": "sent", "__proto__": {}}`, ...INVALID },
  { name: 'constructor', body: event({ metadata: { constructor: {} } }), ...INVALID },
  { name: '1e400', body: '{"notification_id": "n", "status": "sent", "attempt": 1e400}', ...INVALID },
  { name: 'an int over 2^31-1', body: event({ attempt: 2 ** 31 }), ...INVALID, pointer: '/attempt' },
  { name: 'an id that is too long', body: event({ notification_id: CANARY.repeat(40) }), ...INVALID },
  { name: 'metadata over 4 KB', body: event({ metadata: { a: CANARY.repeat(500) } }), ...INVALID },
]

export const sizeAndType: BadInput[] = [
  { name: 'over 64 KB', body: event({ error: 'x'.repeat(70_000) }), status: 413, error: 'payload_too_large' },
  {
    name: 'over 1 MB on batch',
    path: BATCH_PATH,
    body: { events: [event({ error: 'x'.repeat(1_100_000) })] },
    status: 413,
    error: 'payload_too_large',
  },
  {
    name: 'gzip',
    headers: { 'content-encoding': 'gzip' },
    body: event({}),
    status: 415,
    error: 'unsupported_media_type',
  },
  ...['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/jsonx', 'x'].map(
    (type): BadInput => ({
      name: `content type ${type}`,
      headers: { 'content-type': type },
      body: event({}),
      status: 415,
      error: 'unsupported_media_type',
    }),
  ),
]
