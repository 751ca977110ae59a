import { openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import type { StatusEvent } from '@tidings/shared/status-event'
import { v7 as uuidv7 } from 'uuid'
import { env } from '../peers/contract/env.ts'
import { receiveEvent } from '../peers/contract/event.ts'
import { makeReport } from '../src/load/bodies.ts'
import { report } from './report.ts'

/** The same rows through the same multi-row INSERT, 500 at a time on two connections: no HTTP, no queue. */
const seconds = Number(process.argv[2])
const db = openDatabase({
  url: env.DATABASE_URL,
  applicationName: 'unnest',
  maxConnections: 2,
  onError: () => {},
})
const makeBatch = (): StatusEvent[] =>
  Array.from({ length: 500 }, () => receiveEvent(makeReport(uuidv7()))) satisfies StatusEvent[]

await storeStatusEvents(db, makeBatch())
const startedMs = performance.now()
let done = 0
async function insertUntilEnd() {
  while (performance.now() - startedMs < seconds * 1_000) {
    await storeStatusEvents(db, makeBatch())
    done += 500
  }
}
await Promise.all([insertUntilEnd(), insertUntilEnd()])
report(done, startedMs)
await db.close()
process.disconnect?.()
