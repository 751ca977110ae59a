import { readFile } from 'node:fs/promises'
import { startTestApi, type TestApi } from '@tidings/api/testing/test-api'
import { spawnApp } from '@tidings/stack/dev/app-process'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { readExpression } from './read-expression.ts'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')

const alertSchema = z.strictObject({
  alert: z.string().regex(/^Tidings[A-Z]\w+$/),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string().optional() }),
})
const rulesSchema = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(alertSchema) })),
})
const { groups } = rulesSchema.parse(parse(await read('deploy/alerts.yml')))
const alerts = groups.flatMap((group) => group.rules)

/** Metrics that Prometheus itself records for each scrape. */
const PROMETHEUS_METRICS = ['up']

describe('monitoring', () => {
  const releaser = useReleaser()
  let api: TestApi
  /** The names of metrics and of the series of histograms in a scrape of both apps. */
  let scraped: Set<string>
  let families: Set<string>

  beforeAll(async () => {
    api = await startTestApi(releaser)
    const port = await findFreePort()
    const worker = await spawnApp({
      name: 'worker',
      main: 'apps/worker/src/main.ts',
      env: {
        DATABASE_URL: api.url,
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
    const text = texts.join('\n')
    families = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name))
    scraped = new Set([...families, ...[...text.matchAll(/^(\w+)[{ ]/gm)].map(([, name = '']) => name)])
  })

  it.for(alerts)('$alert is PromQL on metrics that the apps export', ({ expr }) => {
    const { errors, metrics } = readExpression(expr)
    expect(errors).toBe(0)
    expect(metrics).not.toEqual([])
    for (const metric of metrics) if (!PROMETHEUS_METRICS.includes(metric)) expect(scraped).toContain(metric)
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
            static_configs: z.array(z.object({ targets: z.array(z.string()) })),
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
    const targets = prometheus.scrape_configs.flatMap(({ static_configs: [config] }) => config?.targets ?? [])
    expect(targets).toEqual([
      `api:${services.api?.environment?.PORT}`,
      `worker:${services.worker?.environment?.WORKER_PORT}`,
    ])
  })
})
