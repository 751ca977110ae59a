import { createReleaser } from '@tidings/stack/releaser'
import { findRedisServer } from '@tidings/stack/servers/redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HTTP_CEILINGS, PEERS } from '../contenders/peers.ts'
import { TIDINGS } from '../contenders/tidings.ts'
import { EVENT_SOURCE, makeReport } from '../load/bodies.ts'
import { runLoad } from '../load/run-load.ts'
import { measureIngest } from '../measure-ingest.ts'
import type { Site } from '../site.ts'
import { openSite } from '../site.ts'

const hasRedis = findRedisServer(process.env.PATH) !== undefined

// Checks no speed, only that all contenders do the same work.
describe.skipIf(!hasRedis)(`the contenders${hasRedis ? '' : ': NO REDIS ON THE PATH'}`, () => {
  let site: Site
  const releaser = createReleaser()
  beforeAll(async () => {
    site = releaser.add(await openSite(), (opened) => opened.stop())
  })
  afterAll(() => releaser.release())

  it.each([TIDINGS, ...PEERS].map((contender) => [contender.name, contender] as const))(
    '%s stores every acknowledged event once with all its fields, and no refused event',
    async (_, contender) => {
      await site.clear()
      const running = await contender.start(site)
      try {
        const post = (bearer: string, body: object) =>
          fetch(`${running.urls[0]}/api/v1/email/status/`, {
            method: 'POST',
            headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }).then((response) => response.status)
        const good = makeReport('refused')
        expect(await post('wrong', good)).toBe(401)
        expect(await post(running.bearer, { ...good, status: 'lost' })).toBe(400)
        expect(await post(running.bearer, { ...good, status: 'failed' })).toBe(400)
        expect(await post(running.bearer, { ...good, user_id: 'nobody' })).toBe(400)
        expect(await post(running.bearer, { ...good, timestamp: 'yesterday' })).toBe(400)

        const plan = { connections: 4, seconds: 0.5 }
        const batches = await measureIngest(site, running, { ...plan, batch: 10, label: 'batch' })
        const single = await measureIngest(site, running, {
          ...plan,
          batch: 1,
          perSecond: 40,
          label: 'single',
        })
        expect([batches.failed, single.failed]).toEqual([0, 0])
      } finally {
        await running.stop()
      }
      const { rows } = await site.pool.query(
        `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS events,
           count(*) FILTER (WHERE user_id IS NOT NULL AND provider = 'sendgrid' AND source = '${EVENT_SOURCE}'
             AND status = 'delivered' AND notification_type = 'email' AND "timestamp" = received_at)::int AS whole,
           count(*) FILTER (WHERE notification_id LIKE 'single-%')::int AS singles,
           count(*) FILTER (WHERE notification_id = 'refused')::int AS refused
         FROM ${running.table}`,
      )
      const { rows: stored, events, whole, singles, refused } = rows[0]
      expect({ events, whole, singles, refused }).toEqual({
        events: stored,
        whole: stored,
        singles: 20,
        refused: 0,
      })
    },
  )

  it.each(HTTP_CEILINGS.map((ceiling) => [ceiling.name, ceiling] as const))(
    '%s answers',
    async (_, ceiling) => {
      const running = await ceiling.start(site)
      try {
        const report = await runLoad({
          url: running.urls[0] ?? '',
          bearer: running.bearer,
          connections: 4,
          seconds: 0.5,
          traffic: { kind: 'events', batch: 1, label: 'check' },
        })
        expect(report.failed).toBe(0)
        expect(report.ok).toBeGreaterThan(0)
      } finally {
        await running.stop()
      }
    },
  )
})
