import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { addUsers } from '@tidings/stack/testing/system-database'
import type { Ledger } from '../ledger.ts'
import { postStatus } from '../post-status.ts'
import { check, type Row, type Run, runUnderLoad, type Stage } from '../row.ts'
import { readStores } from '../settle.ts'
import type { System } from '../system.ts'

interface UserEvent {
  notificationId: string
  userId: string
}

const BATCH = 20

/**
 * Events of unknown users are dead-lettered, sent again once the users exist, and the worker is killed meanwhile. Each
 * must become one row. The reconciler, which runs at each worker start, must then remove the dead letters.
 */
export const sentAgainRow: Row = {
  name: 'sent-again',
  fault: 'dead events sent again once their users are there, worker kill -9',
  short: true,
  concurrent: true,
  run: (stage) =>
    runUnderLoad(stage, { restWithinMs: 90_000 }, async (run) => {
      const kills = stage.short ? 1 : 15
      for (let kill = 0; kill < kills; kill++) {
        await sendTwice(run, stage, kill)
        stage.progress(`kill ${kill + 1}/${kills}`)
      }
      return [check('sent again after being dead-lettered', true, kills * BATCH)]
    }),
}

async function sendTwice({ system, ledger }: Run, stage: Stage, round: number): Promise<void> {
  const [worker] = system.workers
  const events = Array.from({ length: BATCH }, (_, n) => ({
    notificationId: `${system.databaseName}-again-${round}-${n}`,
    userId: randomUUID(),
  }))
  const post = () => Promise.all(events.map((event) => postOfUser(system, ledger, event)))
  await post()
  await waitFor(
    'the dead letters',
    async () => {
      const { deadLetters } = await readStores(system)
      return events.every((event) => deadLetters.has(event.notificationId))
    },
    { timeoutMs: 30_000, intervalMs: 100 },
  )
  await addUsers(
    system.db,
    events.map(({ userId }) => userId),
  )
  const posts = post()
  // About the time that the worker needs to store some of them.
  await sleep(60 * stage.random())
  await worker?.kill9()
  await worker?.start()
  await posts
  await waitFor(
    'the rows',
    async () => {
      const { rows } = await readStores(system)
      return events.every((event) => rows.has(event.notificationId))
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  )
  await worker?.untilReady()
  await worker?.terminate()
  await worker?.start()
  await waitFor(
    'the reconciler to remove the dead letters',
    async () => {
      const { rows, deadLetters } = await readStores(system)
      return ![...deadLetters.keys()].some((id) => rows.has(id))
    },
    { timeoutMs: 60_000, intervalMs: 100 },
  )
}

/** Posts an event with its own key for a user who may not exist yet. */
async function postOfUser(system: System, ledger: Ledger, { notificationId, userId }: UserEvent) {
  ledger.send(notificationId)
  const answer = await postStatus(system, system.apis[0]?.url, {
    notification_id: notificationId,
    event_id: notificationId,
    user_id: userId,
  })
  if (answer.status === 202) ledger.learn(notificationId, 'acknowledged')
}
