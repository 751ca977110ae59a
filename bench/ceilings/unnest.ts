import { openDatabase } from '@tidings/db/database'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import type { StatusEvent } from '@tidings/shared/status-event'
import { v7 as uuidv7 } from 'uuid'
import { readContenderEnv } from '../peers/contract/env.ts'
import { receiveEvent } from '../peers/contract/event.ts'
import { makeReport } from '../src/load/bodies.ts'
import { report } from './report.ts'

/** The worker's multi-row INSERT without HTTP or queue: 500 rows a statement, two connections. */
const seconds = Number(process.argv[2])
const db = openDatabase({
  url: readContenderEnv().DATABASE_URL,
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
