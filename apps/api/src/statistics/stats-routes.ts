import {
  COUNT_GROUPINGS,
  type CountGrouping,
  findRangeProblem,
  GRANULARITIES,
  MAX_COUNTS,
  readDeliveryRates,
  readStatusCounts,
} from '@tidings/db/events/status-counts'
import { AppError } from '@tidings/shared/errors'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { queryTime, readQuery } from '../http/read-query.ts'
import type { ReadStale } from '../http/read-stale.ts'
import { success } from '../http/respond.ts'

export interface StatsDeps {
  authorize: Authorize
  readStale: ReadStale
}

const GROUPINGS: ReadonlySet<string> = new Set(COUNT_GROUPINGS)
const isGroupings = (names: string[]): names is CountGrouping[] => names.every((name) => GROUPINGS.has(name))

const groupBySchema = z
  .string()
  .describe(`Names with commas between them: ${COUNT_GROUPINGS.join(', ')}.`)
  .transform((text, context) => {
    const names = text.split(',')
    if (isGroupings(names) && new Set(names).size === names.length) return names
    const message = `Use names with commas between them, each once: ${COUNT_GROUPINGS.join(', ')}.`
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })

export const granularitySchema = z.enum(GRANULARITIES).meta({ id: 'Granularity' })

/** Query of GET /api/v1/stats/. */
export const statsQuerySchema = z.strictObject({
  from: queryTime.optional().describe('Default: 24 hours before `to`.'),
  to: queryTime.optional().describe('Not included. Default: now.'),
  granularity: granularitySchema
    .optional()
    .describe('One count for each; without it, one for the whole time.'),
  group_by: groupBySchema.optional(),
})

const DAY_MS = 86_400_000

/** Counts the events that became rows. */
export function statsRoutes({ authorize, readStale }: StatsDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  app.get('/api/v1/stats', async (c) => {
    await authorize.service(c, 'stats:read')
    const { from: given, to = new Date(), granularity, group_by = [] } = readQuery(c, statsQuerySchema)
    const from = given ?? new Date(to.getTime() - DAY_MS)
    const query = { from, to, granularity, groupBy: group_by }
    const problem = findRangeProblem(query)
    if (problem !== undefined) throw refused('/from', problem)
    const [counts, rates] = await readStale(c, (db) =>
      Promise.all([readStatusCounts(db, query), readDeliveryRates(db, query)]),
    )
    if (counts === undefined)
      throw refused(
        '/group_by',
        `There are more than ${MAX_COUNTS} counts. Ask for less time or fewer groups.`,
      )
    return success(200, 'Statistics.', counts, {
      from: from.toISOString(),
      to: to.toISOString(),
      granularity: granularity ?? null,
      group_by,
      rates,
    })
  })

  return app
}

const refused = (pointer: string, message: string) =>
  new AppError('validation_failed', message, { fields: [{ pointer, code: 'invalid', message }] })
