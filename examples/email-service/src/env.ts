import { envFields, httpUrl, parseEnv } from '@tidings/runtime/env'
import { z } from 'zod'

const schema = z
  .object({
    /** Such as smtps://user:password@smtp.example.com. */
    SMTP_URL: z.url({
      protocol: /^smtps?$/,
      error: 'needs a URL like smtps://user:password@smtp.example.com',
    }),
    /** The sender, as in the header From. */
    MAIL_FROM: z
      .string()
      .regex(/^[^\r\n]*[^\s<>@]+@[^\s<>@]+>?$/, 'needs a sender like Acme <hello@example.com>'),
    /** Where statuses are reported. */
    API_URL: httpUrl('http://localhost:8001'),
    /** A service key with the scope status:write:email. */
    SERVICE_KEY: z.string(),
    DATABASE_URL: envFields.DATABASE_URL.optional(),
    REDIS_URL: envFields.REDIS_URL,
    QUEUE_BACKEND: envFields.QUEUE_BACKEND,
    QUEUE_PREFIX: envFields.QUEUE_PREFIX,
    LOG_LEVEL: envFields.LOG_LEVEL,
  })
  .transform(({ QUEUE_BACKEND, REDIS_URL, DATABASE_URL, ...env }, context) => {
    const backend = QUEUE_BACKEND ?? (REDIS_URL === undefined ? 'postgres' : 'redis')
    if (backend === 'redis' && REDIS_URL !== undefined)
      return { ...env, queue: { backend, url: REDIS_URL, prefix: env.QUEUE_PREFIX } as const }
    if (backend === 'postgres' && DATABASE_URL !== undefined)
      return { ...env, queue: { backend, url: DATABASE_URL } as const }
    const path = [backend === 'redis' ? 'REDIS_URL' : 'DATABASE_URL']
    context.addIssue({ code: 'custom', path, message: 'is required: the queue is there' })
    return z.NEVER
  })

export type EmailServiceEnv = z.infer<typeof schema>

/** @throws ConfigError that lists all problems and shows no values. */
export const readEmailServiceEnv = (source: NodeJS.ProcessEnv): EmailServiceEnv => parseEnv(schema, source)
