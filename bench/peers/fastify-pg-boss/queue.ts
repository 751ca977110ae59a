import { PgBoss } from 'pg-boss'

export const QUEUE = 'status'

/** NOTIFY wakes the workers; three retries with backoff. */
export async function openBoss(databaseUrl: string) {
  const boss = new PgBoss({ connectionString: databaseUrl, max: 20, useListenNotify: true })
  boss.on('error', (error) => console.error(error))
  await boss.start()
  await boss.createQueue(QUEUE, { retryLimit: 3, retryBackoff: true, notify: true })
  return boss
}
