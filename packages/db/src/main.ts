import { envFields, parseEnv, StartupError } from '@tidings/runtime/env'
import { runMain } from '@tidings/runtime/run-main'
import { errorMessage } from '@tidings/shared/errors'
import { z } from 'zod'
import { classifyFailure, sqlState, unwrapQueryError } from './failure.ts'
import { migrateDatabase } from './migrate.ts'

await runMain(async () => {
  const { DATABASE_URL, DATABASE_DIRECT_URL } = envFields
  const env = parseEnv(z.object({ DATABASE_URL, DATABASE_DIRECT_URL }), process.env)
  try {
    await migrateDatabase(env.DATABASE_DIRECT_URL ?? env.DATABASE_URL)
  } catch (error) {
    // A stack says nothing about a server that is away or refuses something.
    if (classifyFailure(error) !== 'outage' && sqlState(error) === undefined) throw error
    throw new StartupError(`The database was not migrated: ${errorMessage(unwrapQueryError(error))}`)
  }
  process.stdout.write('Database is at the newest schema.\n')
})
