import { execFile } from 'node:child_process'
import { appendFile, chown, copyFile, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type PostgresOptions, type PostgresServer, startPostgres, withClient } from './postgres.ts'
import { clusterPaths } from './postgres-cluster.ts'
import { waitFor } from './wait-for.ts'

export interface StandbyOptions extends PostgresOptions {
  primary: PostgresServer
  /** The data directory of the primary. */
  primaryDir: string
  /** Its name in `synchronous_standby_names` and pg_stat_replication. */
  name: string
  /** Where it reaches the primary, such as through a proxy. Default: the primary's port. */
  primaryPort?: number
}

/** Files of the server that is copied. */
const LEFT_OUT = ['postmaster.pid', 'postmaster.opts']

/**
 * Starts a standby that streams from the primary. Copies the primary's files, which nothing may change much meanwhile:
 * the embedded PostgreSQL brings no pg_basebackup.
 *
 * @see https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
 */
export async function startStandby({
  primary,
  primaryDir,
  name,
  primaryPort,
  ...options
}: StandbyOptions): Promise<PostgresServer> {
  const from = clusterPaths(primaryDir)
  const to = clusterPaths(options.dataDir)
  await mkdir(options.dataDir, { recursive: true })
  await copyFile(from.password, to.password)
  const label = await withClient(primary.adminUrl, async (client) => {
    await client.query("SELECT pg_backup_start('standby', true)")
    await promisify(execFile)('cp', ['-a', from.cluster, to.cluster])
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop()')
    return rows[0]?.labelfile ?? ''
  })
  for (const file of LEFT_OUT) await rm(join(to.cluster, file), { force: true })
  const { username, password, hostname, port } = new URL(primary.adminUrl)
  const connection = `host=${hostname} port=${primaryPort ?? port} user=${username} password=${password} application_name=${name}`
  await appendFile(join(to.cluster, 'postgresql.auto.conf'), `primary_conninfo = '${connection}'\n`)
  await writeFile(join(to.cluster, 'backup_label'), label)
  await writeFile(join(to.cluster, 'standby.signal'), '')
  const { uid, gid } = await stat(from.cluster)
  for (const file of ['backup_label', 'standby.signal']) await chown(join(to.cluster, file), uid, gid)
  // Otherwise it waits 5 s before it looks for its primary again.
  const settings = { wal_retrieve_retry_interval: '100ms', ...options.settings }
  const standby = await startPostgres({ ...options, settings })
  await waitFor('the standby to stream', async () => {
    const found = await withClient(primary.adminUrl, (client) =>
      client.query("SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", [
        name,
      ]),
    )
    return found.rows.length === 1
  })
  return standby
}

/** Makes a standby a primary, and waits until it takes writes. */
export async function promote(standby: PostgresServer): Promise<void> {
  await withClient(standby.adminUrl, (client) => client.query('SELECT pg_promote(true, 30)'))
}

/** Lets every commit wait for the standby of this name; `undefined` for none. */
export async function setSynchronousStandby(
  primary: PostgresServer,
  name: string | undefined,
): Promise<void> {
  await withClient(primary.adminUrl, async (client) => {
    await client.query(`ALTER SYSTEM SET synchronous_standby_names = '${name ?? ''}'`)
    await client.query('SELECT pg_reload_conf()')
    if (name === undefined) return
    await waitFor('the standby to be synchronous', async () => {
      const { rows } = await client.query(
        "SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'",
        [name],
      )
      return rows.length === 1
    })
  })
}
