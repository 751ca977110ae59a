import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { type Ledger, listDeadLetters } from '../ledger.ts'
import { postStatus } from '../post-status.ts'
import { check, type Row, runUnderLoad } from '../row.ts'
import { readStores, waitForRest } from '../settle.ts'
import type { System } from '../system.ts'
import { sentAgainRow } from './sent-again.ts'

/** One post in a hundred has an unknown user. The other kinds of poison go straight onto the queue. */
const POISON_EVERY = 100

export const eventRows: Row[] = [
  {
    name: 'poison',
    fault: '1 % poison events (unknown user, NUL, over-long)',
    short: true,
    concurrent: true,
    run: (stage) => {
      let poisoned = 0
      return runUnderLoad(
        stage,
        {
          load: {
            decorate(n) {
              if (n % POISON_EVERY !== 1) return undefined
              poisoned++
              return { body: { user_id: randomUUID() }, expected: 'dead letter' }
            },
          },
        },
        async ({ system, ledger, load }) => {
          const seconds = stage.short ? 3 : 15
          for (let i = 0; i < seconds; i++) {
            await enqueuePoison(system, ledger, `${system.databaseName}-queue-${i}`)
            poisoned += 2
            await sleep(1_000)
          }
          await load.stop()
          await waitForRest(system, 30_000)
          const dead = listDeadLetters(await readStores(system))
          const attempts = new Set(dead.map((entry) => entry.attempts))
          const reasons = [...new Set(dead.map((entry) => entry.reason))].sort()
          return [
            check('poison was sent', poisoned > 5, poisoned),
            check('1 try each', attempts.size === 1 && attempts.has(1), [...attempts].join(', ')),
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
    concurrent: true,
    run: (stage) =>
      runUnderLoad(
        stage,
        {
          restWithinMs: 40_000,
          before: (system) => raiseForProvider(system, 'unlucky'),
          load: {
            decorate: (n) =>
              n % 50 === 1 ? { body: { provider: 'unlucky' }, expected: 'dead letter' } : undefined,
          },
        },
        async ({ system, load }) => {
          await sleep(stage.short ? 2_000 : 15_000)
          await load.stop()
          await waitForRest(system, 40_000)
          const dead = listDeadLetters(await readStores(system))
          const attempts = new Set(dead.map((entry) => entry.attempts))
          const reasons = new Set(dead.map((entry) => entry.reason))
          return [
            check('some were unlucky', dead.length > 0, dead.length),
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
    concurrent: true,
    run: (stage) =>
      runUnderLoad(stage, { apis: 2 }, async ({ system, ledger, load }) => {
        const notificationId = `${system.databaseName}-same`
        ledger.send(notificationId)
        const post = (i: number) =>
          postStatus(
            system,
            system.apis[i % system.apis.length]?.url,
            { notification_id: notificationId, event_id: 'the-same' },
            'push',
          ).then((answer) => answer.status)
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => post(i)))
        ledger.learn(notificationId, 'acknowledged')
        const good = answers.filter((status) => status >= 200 && status < 300).length
        await load.stop()
        await waitForRest(system, 20_000)
        const rows = (await readStores(system)).rows.get(notificationId)
        return [check('100 answers 2xx', good === 100, good), check('1 row', rows === 1, rows)]
      }),
  },
  {
    name: 'one-key',
    fault: 'two contents under one key, worker kill -9',
    short: true,
    concurrent: true,
    run: (stage) =>
      runUnderLoad(stage, { apis: 2, restWithinMs: 90_000 }, async ({ system, ledger, load }) => {
        const kills = stage.short ? 1 : 10
        const keys: string[] = []
        for (let kill = 0; kill < kills; kill++) {
          const until = performance.now() + 500 + 1_000 * stage.random()
          while (performance.now() < until) {
            const key = `${system.databaseName}-key-${keys.length}`
            keys.push(key)
            // Two APIs take the contents at the same time, so only the worker can tell them apart.
            await Promise.all(
              system.apis.map((api, content) => postUnderKey(system, ledger, { url: api.url, key, content })),
            )
          }
          await system.workers[0]?.kill9()
          await system.workers[0]?.start()
          stage.progress(`kill ${kill + 1}/${kills}`)
        }
        await load.stop()
        await waitForRest(system, 90_000)
        const stores = await readStores(system)
        const conflicts = listDeadLetters(stores).filter(({ reason }) => reason === 'conflict').length
        const stored = keys.map(
          (key) => [0, 1].filter((content) => stores.rows.has(`${key}-${content}`)).length,
        )
        const wrong = stored.filter((contents) => contents !== 1).length
        return [
          check('conflicts among the dead letters', conflicts > 0, conflicts),
          check('1 row for each key', wrong === 0, `${wrong} of ${keys.length} keys without or with two`),
        ]
      }),
  },
  sentAgainRow,
]

/** Posts one of two contents under a key. They differ in the notification id, by which the ledger knows each. */
async function postUnderKey(
  system: System,
  ledger: Ledger,
  { url, key, content }: { url: string; key: string; content: number },
) {
  const notificationId = `${key}-${content}`
  ledger.send(notificationId, 'either')
  const answer = await postStatus(system, url, { notification_id: notificationId, event_id: key })
  if (answer.status === 202) ledger.learn(notificationId, 'acknowledged')
  if (answer.status === 409) ledger.learn(notificationId, 'refused')
}

/** Enqueues two jobs in the format of a producer in another language, each with a poison event and a valid one. */
async function enqueuePoison(system: System, ledger: Ledger, label: string) {
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
    await system.queue.add(ENVELOPE_JOB, { v: 1, events: [good, bad] }, ENVELOPE_JOB_OPTIONS)
    ledger.send(good.notification_id)
    ledger.learn(good.notification_id, 'acknowledged')
    ledger.send(bad.notification_id, 'dead letter')
    ledger.learn(bad.notification_id, 'acknowledged')
  }
}

/** Makes each INSERT for one provider fail, as if another transaction held a lock for ever. */
export async function raiseForProvider({ db }: Pick<System, 'db'>, provider: string): Promise<void> {
  await db.pool.query(`
    CREATE FUNCTION be_unlucky() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not obtain lock' USING ERRCODE = '55P03'; END $$;
    CREATE TRIGGER unlucky BEFORE INSERT ON notification_status FOR EACH ROW
    WHEN (NEW.provider = '${provider}') EXECUTE FUNCTION be_unlucky()`)
}
