import { parseEnv, wholeNumber } from '@tidings/runtime/env'
import { z } from 'zod'

/** The configuration of a peer or ceiling. API_KEY is the bearer key that it accepts. */
export const readContenderEnv = () =>
  parseEnv(
    z.object({
      DATABASE_URL: z.string().default(''),
      REDIS_URL: z.string().default(''),
      PORT: wholeNumber(0, 65_535).default(0),
      API_KEY: z.string().default(''),
    }),
    process.env,
  )
