import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'

const alertSchema = z.strictObject({
  alert: z.string().regex(/^Tidings[A-Z]\w+$/),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.strictObject({ runbook: z.string(), summary: z.string() }),
})
const rulesSchema = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(alertSchema) })),
})

/** All alerts of deploy/alerts.yml. */
export const alerts = rulesSchema
  .parse(parse(await readFile(new URL('../../deploy/alerts.yml', import.meta.url), 'utf8')))
  .groups.flatMap((group) => group.rules)
