import { parseEnv } from '@tidings/runtime/env'
import { z } from 'zod'

/** What a peer or a ceiling is told: where its stores are, where to listen, which key to let in. */
export const env = parseEnv(
  z.object({
    DATABASE_URL: z.string().default(''),
    REDIS_URL: z.string().default(''),
    PORT: z.coerce.number().default(0),
    API_KEY: z.string().default(''),
  }),
  process.env,
)
