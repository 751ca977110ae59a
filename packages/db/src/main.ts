import { envFields, parseEnv } from '@tidings/runtime/env'
import { runMain } from '@tidings/runtime/run-main'
import { z } from 'zod'
import { migrateDatabase } from './migrate.ts'

await runMain(async () => {
  const env = parseEnv(z.object({ DATABASE_URL: envFields.DATABASE_URL }), process.env)
  await migrateDatabase(env.DATABASE_URL)
  process.stdout.write('Database is at the newest schema.\n')
})
