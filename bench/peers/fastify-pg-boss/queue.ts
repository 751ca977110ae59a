import { PgBoss } from 'pg-boss'
import { env } from '../contract/env.ts'

export const QUEUE = 'status'

/** Woken by NOTIFY, three retries with backoff. */
export async function openBoss() {
  const boss = new PgBoss({ connectionString: env.DATABASE_URL, max: 20, useListenNotify: true })
  boss.on('error', (error) => console.error(error))
  await boss.start()
  await boss.createQueue(QUEUE, { retryLimit: 3, retryBackoff: true, notify: true })
  return boss
}
