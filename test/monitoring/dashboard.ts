import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const datasource = z.strictObject({
  type: z.literal('prometheus'),
  uid: z.string().regex(/^\$\{datasource\}$/),
})
const gridPosition = z.strictObject({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
})
const rowSchema = z.object({ id: z.int(), type: z.literal('row'), title: z.string(), gridPos: gridPosition })
const panelSchema = z.object({
  id: z.int(),
  type: z.enum(['stat', 'timeseries']),
  title: z.string(),
  datasource,
  gridPos: gridPosition,
  targets: z
    .array(
      z.strictObject({
        refId: z.string().regex(/^[A-Z]$/),
        datasource,
        expr: z.string(),
        legendFormat: z.string(),
      }),
    )
    .min(1),
})
const dashboardSchema = z.object({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.int(),
  templating: z.object({
    list: z.tuple([
      z.looseObject({
        name: z.literal('datasource'),
        type: z.literal('datasource'),
        query: z.literal('prometheus'),
      }),
    ]),
  }),
  panels: z.array(z.discriminatedUnion('type', [rowSchema, panelSchema])),
})

/** deploy/grafana/tidings.json, with the fields that Grafana needs. */
export const dashboard = dashboardSchema.parse(
  JSON.parse(await readFile(new URL('../../deploy/grafana/tidings.json', import.meta.url), 'utf8')),
)

export const dashboardQueries = dashboard.panels.flatMap((panel) =>
  panel.type === 'row' ? [] : panel.targets.map(({ expr }) => ({ title: panel.title, expr })),
)
