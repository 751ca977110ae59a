import { TEST_PASSWORD } from '../http.ts'
import { ABSENT_ID, type BadInput, CANARY, INVALID, person, USERS_PATH } from './bad-input.ts'

const register = { path: USERS_PATH, credential: 'none' } as const
export const userFields: BadInput[] = [
  ...['role', 'is_staff', 'is_superuser', 'id'].map(
    (field): BadInput => ({
      ...register,
      name: `${field} on register`,
      body: person({ [field]: CANARY }),
      ...INVALID,
      pointer: `/${field}`,
      reason: `Not known here: ${field}.`,
    }),
  ),
  {
    name: 'is_staff on login',
    path: '/api/v1/users/login/',
    credential: 'none',
    body: { email: 'owner@example.com', password: TEST_PASSWORD, is_staff: true },
    ...INVALID,
  },
  {
    name: 'role on PATCH',
    method: 'PATCH',
    path: '/api/v1/users/me/',
    credential: 'user',
    body: { role: CANARY },
    ...INVALID,
  },
  ...['OWNER@example.com', 'owner@EXAMPLE.com'].map(
    (email): BadInput => ({
      ...register,
      name: `${email}, a taken address in other case`,
      body: person({ email }),
      status: 409,
      error: 'email_taken',
    }),
  ),
  ...[
    `${CANARY}İ@example.com`,
    'аdmin@example.com',
    `${'a'.repeat(250)}@example.com`,
    `"a b"@example.com`,
    CANARY,
    '',
  ].map(
    (email): BadInput => ({
      ...register,
      name: `e-mail ${email.slice(0, 30)}`,
      body: person({ email }),
      ...INVALID,
      pointer: '/email',
    }),
  ),
  ...['short', 'x'.repeat(1025), 'password123', 'someone@example.com', CANARY].map(
    (password): BadInput => ({
      ...register,
      name: `password ${password.slice(0, 20)}`,
      body: person({ password }),
      ...INVALID,
      pointer: '/password',
    }),
  ),
]

export const pathIds: BadInput[] = [
  'x',
  '1',
  `{${ABSENT_ID}}`,
  '%00',
  '%zz',
  '%C0%AF',
  `${ABSENT_ID}%00`,
  ABSENT_ID,
].flatMap((id) =>
  (['user', 'key'] as const).map((credential) => ({
    name: `id ${id} in the path, as ${credential}`,
    method: 'GET',
    path: `/api/v1/users/${id}/`,
    credential,
    status: 404,
    error: 'not_found',
  })),
)

export const exportRequests: BadInput[] = (
  [
    ['user', ABSENT_ID, 404, 'not_found'],
    ['user', 'x', 404, 'not_found'],
    ['user', '%00', 404, 'not_found'],
    ['key', ABSENT_ID, 403, 'forbidden'],
    ['key', 'me', 403, 'forbidden'],
    ['none', 'me', 401, 'unauthorized'],
  ] as const
).map(([credential, id, status, error]) => ({
  name: `an export of ${id}, as ${credential}`,
  method: 'GET',
  path: `/api/v1/users/${id}/export/`,
  credential,
  status,
  error,
}))
