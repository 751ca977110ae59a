import { TEST_PASSWORD } from '../http.ts'
import { ABSENT_ID, type BadInput, CANARY, INVALID } from './bad-input.ts'

const RESET = '/api/v1/auth/password-reset/'
const CONFIRM_RESET = `${RESET}confirm/`
const CHANGE = '/api/v1/users/me/email/'
const USE_TOKEN = [
  '/api/v1/auth/email-verification/confirm/',
  '/api/v1/auth/email-change/confirm/',
  '/api/v1/auth/email-change/undo/',
]
const BY_EMAIL = [
  { path: RESET, credential: 'none' },
  { path: CHANGE, credential: 'user' },
] as const

const TOKEN = 'A'.repeat(43)
const INVALID_TOKEN = { status: 400, error: 'invalid_token' } as const
const withPassword = (path: string, fields: object) =>
  path === CONFIRM_RESET ? { password: TEST_PASSWORD, ...fields } : fields

export const emailLinks: BadInput[] = [
  ...[CONFIRM_RESET, ...USE_TOKEN].flatMap((path): BadInput[] => {
    const route = { path, credential: 'none' } as const
    return [
      ...Object.entries({
        unknown: TOKEN,
        empty: '',
        'not like a token': CANARY,
        'with NUL': `${CANARY}\0`,
        'with a lone surrogate': '\ud800',
        'very long': CANARY.repeat(5_000),
        'Unicode digits': '\uff11'.repeat(43),
      }).map(([name, token]) => ({
        ...route,
        name: `a token at ${path}: ${name}`,
        body: withPassword(path, { token }),
        ...INVALID_TOKEN,
      })),
      ...[null, 5, [TOKEN], { token: TOKEN }].map((token) => ({
        ...route,
        name: `a token at ${path}: ${JSON.stringify(token)}`,
        body: withPassword(path, { token }),
        ...INVALID,
        pointer: '/token',
      })),
      { ...route, name: `no token at ${path}`, body: withPassword(path, {}), ...INVALID, pointer: '/token' },
      {
        ...route,
        name: `an unknown field at ${path}`,
        body: withPassword(path, { token: TOKEN, user_id: ABSENT_ID }),
        ...INVALID,
        pointer: '/user_id',
      },
      { ...route, name: `no body at ${path}`, status: 400, error: 'malformed_json' },
      {
        ...route,
        name: `a token in the URL of ${path}`,
        method: 'GET',
        status: 405,
        error: 'method_not_allowed',
      },
    ]
  }),
  ...['short', 'x'.repeat(1025), `${CANARY}\0`, 5, undefined].map(
    (password): BadInput => ({
      name: `a new password with an unknown token: ${String(password).slice(0, 20)}`,
      path: CONFIRM_RESET,
      credential: 'none',
      body: { token: TOKEN, password },
      ...INVALID,
      pointer: '/password',
    }),
  ),
  {
    name: 'a common password with an unknown token: the token is checked first',
    path: CONFIRM_RESET,
    credential: 'none',
    body: { token: TOKEN, password: 'password123' },
    ...INVALID_TOKEN,
  },
  ...BY_EMAIL.flatMap((route): BadInput[] => [
    ...[
      `${CANARY}İ@example.com`,
      'аdmin@example.com',
      '\u212aelvin@example.com',
      'owner@exämple.com',
      `${'a'.repeat(250)}@example.com`,
      '"a b"@example.com',
      'owner@example.com\0',
      'owner@example.com\nBcc: x@example.com',
      'owner@example.com, x@example.com',
      CANARY,
      '',
      null,
      ['owner@example.com'],
    ].map((email) => ({
      ...route,
      name: `e-mail at ${route.path}: ${JSON.stringify(email).slice(0, 40)}`,
      body: { email },
      ...INVALID,
      pointer: '/email',
    })),
    {
      ...route,
      name: `an unknown field at ${route.path}`,
      body: { email: 'someone@example.com', user_id: ABSENT_ID },
      ...INVALID,
      pointer: '/user_id',
    },
    { ...route, name: `a list at ${route.path}`, body: '[]', ...INVALID },
  ]),
  {
    name: 'the present address, in other case',
    path: CHANGE,
    credential: 'user',
    body: { email: 'OWNER@example.com' },
    ...INVALID,
    pointer: '/email',
  },
  {
    name: 'a wrong password for a change of the address',
    path: CHANGE,
    credential: 'user',
    body: { email: 'someone@example.com', password: CANARY },
    status: 403,
    error: 'reauthentication_required',
  },
  {
    name: 'a change of another user’s address',
    path: `/api/v1/users/${ABSENT_ID}/email/`,
    credential: 'user',
    body: { email: 'someone@example.com' },
    status: 404,
    error: 'not_found',
  },
  ...[CHANGE, '/api/v1/auth/email-verification/'].flatMap((path): BadInput[] => [
    {
      name: `no credential at ${path}`,
      path,
      credential: 'none',
      body: {},
      status: 401,
      error: 'unauthorized',
    },
    { name: `a service key at ${path}`, path, credential: 'key', body: {}, status: 403, error: 'forbidden' },
  ]),
]
