import { join } from 'node:path'
import { isPrivatePostgres } from '../servers/postgres.ts'
import { isSameStore } from './external-stores.ts'

/** In the PostgreSQL of DATABASE_URL, or in one of our own below the data directory. */
export type DatabasePlace = 'given' | 'embedded'

/** Where a database can be that is not seen from here; `other` is that of another DATABASE_URL. */
export type DatabaseBefore = DatabasePlace | 'other'

/**
 * Where the start before had the database, going by its dev.env.
 *
 * @param givenUrl DATABASE_URL now.
 */
export async function findPreviousDatabase(
  dataDir: string,
  { DATABASE_URL: url }: Record<string, string | undefined>,
  givenUrl?: string,
): Promise<DatabaseBefore | undefined> {
  if (url === undefined) return undefined
  if (await isPrivatePostgres(url, join(dataDir, 'postgres'))) return 'embedded'
  return givenUrl === undefined || isSameStore(url, givenUrl) ? 'given' : 'other'
}
