import { ABSENT_ID, type BadInput, CANARY, INVALID } from './bad-input.ts'

const PATH = '/api/v1/suppressions/'
const CHECK = `${PATH}check/`
const LINKS = '/api/v1/unsubscribe-links/'
const ann = { channel: 'email', recipient: `${CANARY}@example.com` }
const DIGEST = 'a'.repeat(64)
const FORBIDDEN = { status: 403, error: 'forbidden' } as const
const MISSING = { status: 404, error: 'not_found' } as const

export const suppressionInputs: BadInput[] = [
  ...[
    { name: 'no channel', body: { recipient: CANARY }, pointer: '/channel' },
    { name: 'an unknown channel', body: { ...ann, channel: 'sms' }, pointer: '/channel' },
    { name: 'no recipient', body: { channel: 'email' }, pointer: '/recipient' },
    { name: 'a recipient and a user', body: { ...ann, user_id: ABSENT_ID }, pointer: '/recipient' },
    { name: 'a blank recipient', body: { ...ann, recipient: '  ' }, pointer: '/recipient' },
    {
      name: 'a recipient that is too long',
      body: { ...ann, recipient: CANARY.repeat(400) },
      pointer: '/recipient',
    },
    { name: 'NUL in a recipient', body: { ...ann, recipient: `${CANARY}\0` }, pointer: '/recipient' },
    { name: 'an invalid user id', body: { channel: 'email', user_id: CANARY }, pointer: '/user_id' },
    { name: 'an unknown reason', body: { ...ann, reason: CANARY }, pointer: '/reason' },
    {
      name: 'a category in capitals',
      body: { ...ann, category: CANARY.toUpperCase() },
      pointer: '/category',
    },
    { name: 'an end in the past', body: { ...ann, until: '2020-01-01T00:00:00Z' }, pointer: '/until' },
    {
      name: 'an end in the year 10000',
      body: { ...ann, until: '+010000-01-01T00:00:00Z' },
      pointer: '/until',
    },
    { name: 'a note that is too long', body: { ...ann, note: CANARY.repeat(100) }, pointer: '/note' },
    { name: 'an origin', body: { ...ann, origin: CANARY }, pointer: '/origin' },
  ].map(
    (input): BadInput => ({
      ...INVALID,
      path: PATH,
      ...input,
      name: `${input.name} on adding a suppression`,
    }),
  ),
  {
    name: 'adding for an unknown user',
    path: PATH,
    body: { channel: 'email', user_id: ABSENT_ID },
    ...MISSING,
  },
  { name: 'adding as a user', path: PATH, credential: 'user', body: ann, ...FORBIDDEN },
  ...[
    { name: 'no recipient', body: { channel: 'email' }, pointer: '/recipient' },
    { name: 'a recipient and a digest', body: { ...ann, digest: DIGEST }, pointer: '/recipient' },
    { name: 'a digest that is none', body: { channel: 'email', digest: CANARY }, pointer: '/digest' },
    { name: 'an unknown reason', body: { ...ann, reason: CANARY }, pointer: '/reason' },
  ].map(
    (input): BadInput => ({
      ...INVALID,
      path: PATH,
      method: 'DELETE',
      ...input,
      name: `${input.name} on lifting a suppression`,
    }),
  ),
  { name: 'lifting what is not suppressed', path: PATH, method: 'DELETE', body: ann, ...MISSING },
  ...[
    { name: 'no recipients', body: { channel: 'email' }, pointer: '/recipients' },
    { name: 'an empty list', body: { channel: 'email', recipients: [] }, pointer: '/recipients' },
    {
      name: 'both lists',
      body: { channel: 'email', recipients: ['a'], user_ids: [ABSENT_ID] },
      pointer: '/recipients',
    },
    {
      name: '501 recipients',
      body: { channel: 'email', recipients: Array(501).fill(CANARY) },
      pointer: '/recipients',
    },
    {
      name: '501 users',
      body: { channel: 'email', user_ids: Array(501).fill(ABSENT_ID) },
      pointer: '/user_ids',
    },
  ].map((input): BadInput => ({ ...INVALID, path: CHECK, ...input, name: `${input.name} on checking` })),
  {
    name: 'a recipient as a filter of the list',
    method: 'GET',
    path: `${PATH}?recipient=${CANARY}`,
    ...INVALID,
    pointer: '/recipient',
  },
  { name: 'a digest that is none in the list', method: 'GET', path: `${PATH}?digest=${CANARY}`, ...INVALID },
  ...[
    { name: 'no links', body: {}, pointer: '/links' },
    { name: '501 links', body: { links: Array(501).fill({ recipient: CANARY }) }, pointer: '/links' },
    { name: 'a link to nobody', body: { links: [{}] }, pointer: '/links/0' },
    {
      name: 'a link of an unknown category',
      body: { links: [{ recipient: CANARY, category: 'none' }] },
      pointer: '/links',
    },
  ].map((input): BadInput => ({ ...INVALID, path: LINKS, ...input, name: `${input.name} on making links` })),
  { name: 'making links as a user', path: LINKS, credential: 'user', body: { links: [] }, ...FORBIDDEN },
  ...['user', 'key'].map(
    (credential): BadInput => ({
      name: `an unknown category of preferences, as ${credential}`,
      method: credential === 'user' ? 'PATCH' : 'POST',
      path: credential === 'user' ? '/api/v1/users/me/' : '/api/v1/users/preferences/batch/',
      credential: credential === 'user' ? 'user' : 'key',
      body:
        credential === 'user'
          ? { preferences: { categories: { [CANARY]: { email: true } } } }
          : { user_ids: [ABSENT_ID], category: CANARY },
      ...INVALID,
    }),
  ),
  ...[{ [CANARY]: 'no' }, { a: { sms: true } }, [CANARY]].map(
    (categories): BadInput => ({
      name: `the categories ${JSON.stringify(categories)}`,
      method: 'PATCH',
      path: '/api/v1/users/me/',
      credential: 'user',
      body: { preferences: { categories } },
      ...INVALID,
    }),
  ),
]
