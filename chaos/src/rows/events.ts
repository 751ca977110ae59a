import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { type Ledger, listDead } from '../ledger.ts'
import { postStatus } from '../post-status.ts'
import { check, playUnderLoad, type Row } from '../row.ts'
import { readStores, untilRest } from '../settle.ts'
import { addUsers, type System } from '../world.ts'

/** A third of the poison comes by REST (an unknown user), the rest straight onto the queue. */
const POISON_EVERY = 100

export const eventRows: Row[] = [
  {
    name: 'poison',
    fault: '1 % poison events (unknown user, NUL, over-long)',
    short: true,
    run: (stage) => {
      let poisoned = 0
      return playUnderLoad(
        stage,
        {
          load: {
            decorate(n) {
              if (n % POISON_EVERY !== 1) return undefined
              poisoned++
              return { body: { user_id: randomUUID() }, destiny: 'dead letter' }
            },
          },
        },
        async ({ world, ledger }) => {
          const label = `${world.databaseName}-queue`
          const seconds = stage.short ? 4 : 15
          for (let i = 0; i < seconds; i++) {
            await enqueueByHand(world, ledger, `${label}-${i}`)
            poisoned += 2
            await sleep(1_000)
          }
          await untilRest(world, 30_000)
          const { dead } = await readStores(world)
          // The load goes on: what died is counted after rest, in the shared checks.
          const tries = new Set(listDead({ dead }).map((entry) => entry.attempts))
          const reasons = [...new Set(listDead({ dead }).map((entry) => entry.reason))].sort()
          return [
            check('poison was sent', poisoned > 5, poisoned),
            check('1 try each', tries.size === 1 && tries.has(1), [...tries].join(', ')),
            check('reasons', reasons.join() === 'invalid_event,unknown_user', reasons.join(', ')),
          ]
        },
      )
    },
  },
  {
    name: 'transient',
    fault: 'transient row failure (trigger raising 55P03)',
    short: true,
    run: (stage) =>
      playUnderLoad(
        stage,
        {
          restWithinMs: 40_000,
          before: (world) => raiseForProvider(world, 'unlucky'),
          load: {
            decorate: (n) =>
              n % 50 === 1 ? { body: { provider: 'unlucky' }, destiny: 'dead letter' } : undefined,
          },
        },
        async ({ world, load }) => {
          await sleep(stage.short ? 4_000 : 15_000)
          await load.stop()
          await untilRest(world, 40_000)
          const { dead } = await readStores(world)
          const attempts = new Set(listDead({ dead }).map((entry) => entry.attempts))
          const reasons = new Set(listDead({ dead }).map((entry) => entry.reason))
          return [
            check('some were unlucky', dead.size > 0, dead.size),
            check(
              'exactly 3 retries (4 attempts)',
              attempts.size === 1 && attempts.has(4),
              [...attempts].join(', '),
            ),
            check('reason', [...reasons].join() === 'retries_exhausted', [...reasons].join(', ')),
          ]
        },
      ),
  },
  {
    name: 'duplicates',
    fault: 'one event ×100 at once',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { apis: 2 }, async ({ world, ledger }) => {
        const notificationId = `${world.databaseName}-same`
        ledger.send(notificationId)
        const post = (i: number) =>
          postStatus(
            world,
            world.apis[i % world.apis.length]?.url,
            { notification_id: notificationId, event_id: 'the-same' },
            'push',
          ).then((answer) => answer.status)
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => post(i)))
        ledger.learn(notificationId, 'acknowledged')
        const good = answers.filter((status) => status >= 200 && status < 300).length
        await untilRest(world, 20_000)
        const rows = (await readStores(world)).rows.get(notificationId)
        return [check('100 answers 2xx', good === 100, good), check('1 row', rows === 1, rows)]
      }),
  },
  {
    name: 'one-key',
    fault: 'two contents under one key, worker kill -9',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { apis: 2, restWithinMs: 90_000 }, async ({ world, ledger }) => {
        const kills = stage.short ? 1 : 10
        const keys: string[] = []
        for (let kill = 0; kill < kills; kill++) {
          const until = performance.now() + 500 + 1_000 * stage.random()
          while (performance.now() < until) {
            const key = `${world.databaseName}-key-${keys.length}`
            keys.push(key)
            // At different APIs neither knows of the other: the worker has to tell them apart.
            await Promise.all(
              world.apis.map((api, content) => postUnderKey(world, ledger, { url: api.url, key, content })),
            )
          }
          await world.workers[0]?.kill9()
          await world.workers[0]?.start()
          stage.progress(`kill ${kill + 1}/${kills}`)
        }
        await untilRest(world, 90_000)
        const { rows, dead } = await readStores(world)
        const conflicts = listDead({ dead }).filter(({ reason }) => reason === 'conflict').length
        const stored = keys.map((key) => [0, 1].filter((content) => rows.has(`${key}-${content}`)).length)
        const wrong = stored.filter((contents) => contents !== 1).length
        return [
          check('conflicts among the dead', conflicts > 0, conflicts),
          check('1 row for each key', wrong === 0, `${wrong} of ${keys.length} keys without or with two`),
        ]
      }),
  },
  {
    name: 'sent-again',
    fault: 'dead events sent again once their users are there, worker kill -9',
    short: true,
    run: (stage) =>
      playUnderLoad(stage, { restWithinMs: 90_000 }, async ({ world, ledger }) => {
        const kills = stage.short ? 2 : 15
        const events: { notificationId: string; userId: string }[] = []
        for (let kill = 0; kill < kills; kill++) {
          const batch = Array.from({ length: 20 }, (_, n) => ({
            notificationId: `${world.databaseName}-again-${kill}-${n}`,
            userId: randomUUID(),
          }))
          events.push(...batch)
          await Promise.all(batch.map((event) => postOfUser(world, ledger, event)))
          await waitFor(
            'their deaths',
            async () => (await world.deadLetters.getPrioritizedCount()) >= batch.length,
            { timeoutMs: 30_000 },
          )
          await addUsers(
            world.db,
            batch.map(({ userId }) => userId),
          )
          const posts = Promise.all(batch.map((event) => postOfUser(world, ledger, event)))
          // About as long as the worker needs to have some of them stored.
          await sleep(60 * stage.random())
          await world.workers[0]?.kill9()
          await world.workers[0]?.start()
          await posts
          await waitFor('their rows', async () => (await world.deadLetters.getPrioritizedCount()) === 0, {
            timeoutMs: 60_000,
          })
          stage.progress(`kill ${kill + 1}/${kills}`)
        }
        return [check('died and were sent again', events.length > 0, events.length)]
      }),
  },
]

/** An event under a key of its own, for a user who may not be there yet. */
async function postOfUser(
  world: System,
  ledger: Ledger,
  { notificationId, userId }: { notificationId: string; userId: string },
) {
  ledger.send(notificationId)
  const answer = await postStatus(world, world.apis[0]?.url, {
    notification_id: notificationId,
    event_id: notificationId,
    user_id: userId,
  })
  if (answer.status === 202) ledger.learn(notificationId, 'acknowledged')
}

/** One of two contents: they differ in the notification, by which the ledger finds each again. */
async function postUnderKey(
  world: System,
  ledger: Ledger,
  { url, key, content }: { url: string; key: string; content: number },
) {
  const notificationId = `${key}-${content}`
  ledger.send(notificationId, 'either')
  const answer = await postStatus(world, url, { notification_id: notificationId, event_id: key })
  if (answer.status === 202) ledger.learn(notificationId, 'acknowledged')
  if (answer.status === 409) ledger.learn(notificationId, 'refused')
}

/** Two jobs as a producer in another language might write them: each with a poisonous and a good event. */
async function enqueueByHand(world: System, ledger: Ledger, label: string) {
  const event = (notification_id: string) => ({
    notification_id,
    notification_type: 'email',
    source: 'by-hand',
    status: 'sent',
  })
  const poison = [
    { ...event(`${label}-nul`), provider: 'a\0b' },
    { ...event(`${label}-long`), provider: 'x'.repeat(1_000) },
  ]
  for (const bad of poison) {
    const good = event(`${bad.notification_id}-neighbour`)
    await world.queue.add(ENVELOPE_JOB, { v: 1, events: [good, bad] }, ENVELOPE_JOB_OPTIONS)
    ledger.send(good.notification_id)
    ledger.learn(good.notification_id, 'acknowledged')
    ledger.send(bad.notification_id, 'dead letter')
    ledger.learn(bad.notification_id, 'acknowledged')
  }
}

/** Rows of one provider cannot be stored, as when another transaction always holds their lock. */
export async function raiseForProvider(world: System, provider: string): Promise<void> {
  await world.db.pool.query(`
    CREATE FUNCTION be_unlucky() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not obtain lock' USING ERRCODE = '55P03'; END $$;
    CREATE TRIGGER unlucky BEFORE INSERT ON notification_status FOR EACH ROW
    WHEN (NEW.provider = '${provider}') EXECUTE FUNCTION be_unlucky()`)
}
