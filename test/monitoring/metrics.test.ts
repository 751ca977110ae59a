import { readFile } from 'node:fs/promises'
import { startTestApi, type TestApi } from '@tidings/api/testing/test-api'
import { DEAD_LETTER_REASONS } from '@tidings/shared/dead-letter'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { databaseVariables, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { alerts } from './alerts.ts'
import { dashboardQueries } from './dashboard.ts'
import { readExpression } from './read-expression.ts'

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Metrics that Prometheus itself records for each scrape. */
const PROMETHEUS_METRICS = ['up']
/** Metrics of redis_exporter and postgres_exporter, for the alerts in the group `tidings-stores`. */
const EXPORTER_METRICS = ['redis_master_link_up', 'pg_replication_lag_seconds']
const OTHER_METRICS = [...PROMETHEUS_METRICS, ...EXPORTER_METRICS]

describe('monitoring', () => {
  const releaser = useReleaser()
  let api: TestApi
  /** The names of metrics and of the series of histograms in a scrape of both apps. */
  let scraped: Set<string>
  let families: Set<string>
  let text: string

  beforeAll(async () => {
    api = await startTestApi(releaser)
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'worker',
      main: 'apps/worker/src/main.ts',
      env: {
        ...databaseVariables(api),
        QUEUE_BACKEND: 'postgres',
        WORKER_PORT: String(port),
        LOG_LEVEL: 'silent',
      },
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    })
    releaser.onRelease(async () => void (await worker.stop()))
    await worker.waitUntilReady()
    await fetch(`${api.apiUrl}/health/`)
    const texts = await Promise.all(
      [`${api.apiUrl}/metrics`, `http://127.0.0.1:${port}/metrics`].map(async (url) =>
        (await fetch(url)).text(),
      ),
    )
    text = texts.join('\n')
    families = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name))
    scraped = new Set([...families, ...[...text.matchAll(/^(\w+)[{ ]/gm)].map(([, name = '']) => name)])
  })

  it.for(alerts)('$alert is PromQL on metrics that the apps export', ({ expr }) => {
    const { errors, metrics } = readExpression(expr)
    expect(errors).toBe(0)
    expect(metrics).not.toEqual([])
    for (const metric of metrics) if (!OTHER_METRICS.includes(metric)) expect(scraped).toContain(metric)
  })

  it.for(dashboardQueries)('the panel "$title" is PromQL on metrics that the apps export', ({ expr }) => {
    const { errors, metrics } = readExpression(expr)
    expect(errors).toBe(0)
    expect(metrics).not.toEqual([])
    for (const metric of metrics) if (!PROMETHEUS_METRICS.includes(metric)) expect(scraped).toContain(metric)
  })

  it('shows every metric of the apps on the dashboard', () => {
    const shown = dashboardQueries
      .flatMap(({ expr }) => readExpression(expr).metrics)
      .map((metric) => metric.replace(/_(bucket|count|sum)$/, ''))
    expect([...families].filter((name) => name.startsWith('tidings_') && !shown.includes(name))).toEqual([])
  })

  it('begins counters at 0, so that Prometheus sees a first increase', () => {
    for (const path of ['queue', 'direct', 'parked'])
      expect(text).toMatch(new RegExp(`^tidings_events_accepted_total{.*path="${path}".*} 0$`, 'm'))
    for (const outcome of ['stored', 'duplicate', 'retried'])
      expect(text).toContain(`tidings_worker_events_total{outcome="${outcome}"} 0\n`)
    for (const reason of DEAD_LETTER_REASONS)
      expect(text).toContain(`tidings_worker_dead_letters_total{reason="${reason}"} 0\n`)
  })

  it('notices an expression that does not parse', () => {
    expect(readExpression('sum(rate(a_total[5m])) > 0')).toEqual({ errors: 0, metrics: ['a_total'] })
    expect(readExpression('sum(rate(a_total[5m]) > 0').errors).toBeGreaterThan(0)
  })

  it('is documented in docs/operations.md: every metric, and no other', async () => {
    const page = await read('docs/operations.md')
    const documented = new Set(page.match(/\btidings_\w+/g))
    const ours = [...families].filter((name) => name.startsWith('tidings_'))
    expect(ours.length).toBeGreaterThan(8)
    expect([...documented].sort()).toEqual(ours.sort())
  })

  it('scrapes the apps of docker-compose.yml, and reads the alerts', async () => {
    const prometheus = z
      .object({
        rule_files: z.array(z.string()),
        scrape_configs: z.array(
          z.object({
            job_name: z.string(),
            dns_sd_configs: z.tuple([
              z.object({ names: z.tuple([z.string()]), type: z.literal('A'), port: z.int() }),
            ]),
          }),
        ),
      })
      .parse(parse(await read('deploy/prometheus.yml')))
    expect(prometheus.rule_files).toEqual(['alerts.yml'])
    const { services } = z
      .object({
        services: z.record(
          z.string(),
          z.looseObject({ environment: z.record(z.string(), z.string()).optional() }),
        ),
      })
      .parse(parse(await read('docker-compose.yml'), { merge: true }))
    const targets = prometheus.scrape_configs.map(
      ({ dns_sd_configs: [{ names, port }] }) => `${names[0]}:${port}`,
    )
    expect(targets).toEqual([
      `api:${services.api?.environment?.PORT}`,
      `worker:${services.worker?.environment?.WORKER_PORT}`,
    ])
  })
})
