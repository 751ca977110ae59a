import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RedisBackend } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redriveDeadLetters } from '@tidings/queue/dead-letters/redrive'
import { checkRedisDurability, warnAboutDurability } from '@tidings/queue/durability'
import { openRedis } from '@tidings/queue/open-redis'
import { createPublisher } from '@tidings/queue/publisher'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import type { Releaser } from '@tidings/stack/releaser'
import { askRedis } from '@tidings/stack/servers/ask-redis'
import type { RedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { readDocumentedRights } from '@tidings/stack/testing/documented-rights'
import {
  createTestDatabase,
  describeRedis,
  makeTestFolder,
  startTestCluster,
  startTestRedis,
  startTestSentinels,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { startTestWorker } from './testing/test-worker.ts'

/** Rights that any of them may be missing from: see docs/queue-backends.md. */
const OPTIONAL = ['+info', '+config|get', '+client|list']

/** Publishes an event, and one of an unknown user. Resolves when the first is a row and the second was redriven. */
async function expectAllWorks(releaser: Releaser, backend: RedisBackend, shards: number): Promise<void> {
  const log = createLogger('test', 'silent')
  const { database } = await createTestDatabase(releaser)
  const lifecycle = createLifecycle(log)
  releaser.onRelease(() => lifecycle.release())
  const publisher = releaser.add(createPublisher({ backend, shards, log }), (opened) => opened.close())
  await waitFor('the publisher to be ready', () => publisher.isConnected)
  const worker = await startTestWorker({ db: database, backend, shards, lifecycle })
  await waitFor('the worker to be ready', () => worker.isQueueWritable)
  const event = makeEvent()
  const unknown = makeEvent({ user_id: randomUUID() })
  await publisher.publish([event])
  await publisher.publish([unknown])
  const untilStored = ({ id }: { id: string }) =>
    waitFor('the event to be stored', async () => {
      const { rows } = await database.pool.query('SELECT 1 FROM notification_status WHERE id = $1', [id])
      return rows.length === 1
    })
  await untilStored(event)
  const store = await openDeadLetters({ backend, shards, onError: () => {} })
  releaser.onRelease(() => store.close())
  await waitFor('the dead letter', async () => (await store.count()) === 1)
  await database.pool.query(
    `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')`,
    [unknown.user_id],
  )
  await redriveDeadLetters(store, { selection: { kind: 'filter', filter: {} }, force: false })
  await untilStored(unknown)
  expect(await store.findDamage()).toEqual([])
  await store.depth()
}

describe.each(['with all rights that the documentation names', 'without those that may be missing'])(
  'a user %s',
  (name) => {
    const releaser = useReleaser()
    const url = (given: string) => given.replace('://', '://tidings:password@')
    let rules: string[]

    beforeAll(async () => {
      const all = await readDocumentedRights('tidings')
      rules = name.startsWith('with all') ? all : all.filter((rule) => !OPTIONAL.includes(rule))
    })
    const allow = (servers: readonly RedisServer[]) =>
      Promise.all(servers.map(({ port }) => askRedis(port, 'ACL', 'SETUSER', ...rules)))

    describeRedis('on one server', () => {
      it('does everything', async () => {
        const server = await startTestRedis(releaser)
        await allow([server])
        await expectAllWorks(releaser, { kind: 'redis', url: url(server.url), prefix: 'tidings' }, 2)
      })
    })

    describeRedis('behind Sentinels that have users', () => {
      it('does everything', async () => {
        const watcher = (await readDocumentedRights('watcher')).join(' ')
        const set = await startTestSentinels(releaser, { sentinelSettings: { user: watcher } })
        await allow(set.servers)
        const login = '?sentinel_username=watcher&sentinel_password=password'
        const backend = { kind: 'redis', url: `${url(set.url)}${login}`, prefix: 'tidings' } as const
        await expectAllWorks(releaser, backend, 2)
      })
    })

    describeRedis('on a cluster', () => {
      it('does everything', async () => {
        const cluster = await startTestCluster(releaser)
        await allow(cluster.nodes)
        await expectAllWorks(releaser, { kind: 'redis', url: url(cluster.url), prefix: 'tidings' }, 6)
      })
    })
  },
)

describeRedis('a Redis whose user may not read INFO and CONFIG', () => {
  const releaser = useReleaser()
  const log = createLogger('test', 'silent')
  let backend: RedisBackend

  beforeAll(async () => {
    const server = await startTestRedis(releaser)
    const rules = (await readDocumentedRights('tidings')).filter((rule) => !OPTIONAL.includes(rule))
    await askRedis(server.port, 'ACL', 'SETUSER', ...rules)
    const url = server.url.replace('//', '//tidings:password@')
    backend = { kind: 'redis', url, prefix: 'tidings' }
  })

  it('does everything where INFO was removed', async () => {
    const config = join(await makeTestFolder(releaser), 'removed.conf')
    await writeFile(config, 'rename-command INFO ""\n')
    const server = await startTestRedis(releaser, { include: config })
    await expectAllWorks(releaser, { kind: 'redis', url: server.url, prefix: 'removed' }, 1)
  })

  it('has an unknown durability: one warning, and a refusal only when it must be known', async () => {
    const redis = releaser.add(
      openRedis(backend, 'patient', () => {}),
      (connection) => connection.disconnect(),
    )
    const { problems, unknown } = await checkRedisDurability(redis)
    expect(problems).toEqual([])
    expect(unknown.map(({ setting }) => setting)).toEqual(['appendonly', 'appendfsync', 'maxmemory-policy'])
    const warn = vi.spyOn(log, 'warn').mockClear()
    await warnAboutDurability(redis, false, log)
    expect(warn.mock.calls).toEqual([
      [
        { settings: ['appendonly', 'appendfsync', 'maxmemory-policy'] },
        'Redis does not show its settings to this user. Check that appendonly is yes, appendfsync is always, ' +
          'maxmemory-policy is noeviction',
      ],
      ['Redis lets this user not read INFO: its version and how full its memory is are not checked'],
    ])
    await expect(warnAboutDurability(redis, true, log)).rejects.toThrow(
      'STRICT_DURABILITY: Redis does not show appendonly: allow this user CONFIG GET',
    )
  })
})
