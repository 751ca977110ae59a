import { type BadInput, CANARY, INVALID } from './bad-input.ts'

const stats = { method: 'GET', credential: 'key', ...INVALID } as const

export const statsQueries: BadInput[] = [
  { query: `group_by=${CANARY}`, pointer: '/group_by', reason: 'each once: type, provider' },
  { query: 'group_by=type,type', pointer: '/group_by' },
  { query: 'group_by=', pointer: '/group_by' },
  { query: 'group_by=type,', pointer: '/group_by' },
  { query: 'group_by=count', pointer: '/group_by' },
  { query: 'group_by=constructor', pointer: '/group_by' },
  { query: 'group_by=type&group_by=status', pointer: '/group_by' },
  { query: 'granularity=minute', pointer: '/granularity' },
  { query: `from=${CANARY}`, pointer: '/from' },
  { query: 'from=2026-01-31', pointer: '/from' },
  { query: 'to=10000-01-01T00:00:00Z', pointer: '/to' },
  { query: 'from=9999-01-01T00:00:00Z', pointer: '/from', reason: 'must be after its beginning' },
  { query: 'from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z', pointer: '/from' },
  {
    query: 'from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z',
    pointer: '/from',
    reason: 'at most 366 days',
  },
  {
    query: 'from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&granularity=hour',
    pointer: '/from',
    reason: 'at most 31 days',
  },
  { query: 'provider=ses', pointer: '/provider', reason: 'Not known here: provider.' },
].map(
  ({ query, ...expected }): BadInput => ({
    name: `statistics with ${query}`,
    path: `/api/v1/stats/?${query}`,
    ...stats,
    ...expected,
  }),
)
statsQueries.push(
  {
    ...stats,
    name: 'statistics for a user',
    path: '/api/v1/stats/',
    credential: 'user',
    status: 403,
    error: 'forbidden',
  },
  {
    ...stats,
    name: 'statistics for nobody',
    path: '/api/v1/stats/',
    credential: 'none',
    status: 401,
    error: 'unauthorized',
  },
)
