import { envFields, parseEnv } from '@tidings/runtime/env'
import { runMain } from '@tidings/runtime/run-main'
import { z } from 'zod'
import { migrateDatabase } from './migrate.ts'

await runMain(async () => {
  const { DATABASE_URL, DATABASE_DIRECT_URL } = envFields
  const env = parseEnv(z.object({ DATABASE_URL, DATABASE_DIRECT_URL }), process.env)
  await migrateDatabase(env.DATABASE_DIRECT_URL ?? env.DATABASE_URL)
  process.stdout.write('Database is at the newest schema.\n')
})
