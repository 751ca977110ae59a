import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLogger } from '@tidings/runtime/log'
import { findFreePort } from '@tidings/stack/servers/free-port'
import type { RedisTls } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { readDocumentedRights } from '@tidings/stack/testing/documented-rights'
import { makeCertificates, openssl } from '@tidings/stack/testing/make-certificates'
import {
  describeRedis,
  makeTestFolder,
  startTestCluster,
  startTestRedis,
  startTestSentinels,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { openQueue, openWorker } from './backend.ts'
import { openRedis, openSubscriber, type RedisTarget } from './open-redis.ts'
import { createPublisher } from './publisher.ts'
import { waitUntilReady } from './wait-until-ready.ts'

/** Clients log in as this user. The tools of the tests use the default user, without TLS. */
const ACL = 'user default on nopass ~* &* +@all\nuser app on >a/secret ~* &* +@all\n'
const LOGIN = 'app:a%2Fsecret@'

const name = openssl ? 'TLS with an own CA and client certificates' : 'TLS: NO OPENSSL ON THE PATH'
describe.skipIf(openssl === undefined)(name, () => {
  const releaser = useReleaser()
  let own: RedisTls
  let tls: NonNullable<RedisTarget['tls']>
  let otherTls: NonNullable<RedisTarget['tls']>
  let acl: string

  beforeAll(async () => {
    const folder = await makeTestFolder(releaser)
    const read = async ({ ca, cert, key }: RedisTls) => {
      const [caText, certText, keyText] = await Promise.all(
        [ca, cert, key].map((path) => readFile(path, 'utf8')),
      )
      return { ca: caText, cert: certText, key: keyText }
    }
    own = await makeCertificates(folder, 'own', 'DNS:localhost,IP:127.0.0.1')
    tls = await read(own)
    otherTls = await read(await makeCertificates(folder, 'other'))
    acl = join(folder, 'users.acl')
    await writeFile(acl, ACL)
  })

  function open(target: RedisTarget) {
    const reported: string[] = []
    const redis = openRedis(target, 'operator', ({ message }) => void reported.push(message))
    releaser.onRelease(() => redis.disconnect())
    return { redis, reported }
  }

  async function connect(target: RedisTarget) {
    const { redis } = open(target)
    await waitUntilReady(redis)
    return redis.set('key', 'value')
  }

  /** Every kind of wrong credential has a message that says what it is, and no message holds the password. */
  async function expectRefusals(url: string) {
    const wrongPassword = url.replace('a%2Fsecret', 'canary')
    const cases: [target: RedisTarget, reason: RegExp][] = [
      [{ url }, /self-signed certificate|unable to verify/],
      [{ url, tls: otherTls }, /self-signed certificate|unable to verify/],
      [{ url, tls: { ca: tls.ca } }, /certificate required|ECONNRESET|EPIPE/],
      [{ url: url.replace('rediss', 'redis') }, /ECONNRESET|EPIPE|closed/],
      [{ url: wrongPassword, tls }, /Redis refuses: .*WRONGPASS/],
    ]
    await Promise.all(
      cases.map(async ([target, reason]) => {
        const { redis, reported } = open(target)
        await expect(waitUntilReady(redis)).rejects.toThrow(reason)
        expect(reported.join()).not.toMatch(/canary|secret/)
      }),
    )
  }

  /** A publisher, a worker and a subscriber open connections of all kinds. */
  async function expectWorking(target: RedisTarget) {
    const backend = { kind: 'redis', prefix: 'test', ...target } as const
    const onError = () => {}
    const log = createLogger('test', 'silent')
    const publisher = releaser.add(createPublisher({ backend, shards: 2, log }), (opened) => opened.close())
    await waitFor('the publisher', () => publisher.isConnected)
    const redis = openRedis(target, 'patient', onError)
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    const done: unknown[] = []
    const queue = releaser.add(openQueue<string>('jobs', backend, redis, { onError }), (it) => it.close())
    const worker = openWorker<string>('jobs', backend, async (job) => void done.push(job.data), {})
    worker.on('error', onError)
    releaser.add(worker, (opened) => opened.close())
    await queue.add('job', 'over TLS')
    await waitFor('the job', () => done.includes('over TLS'))
    const subscriber = releaser.add(openSubscriber(target, onError), (it) => it.disconnect())
    await subscriber.subscribe('channel')
    const heard = new Promise((resolve) => subscriber.on('message', (_channel, text) => resolve(text)))
    await redis.publish('channel', 'hello')
    expect(await heard).toBe('hello')
  }

  describeRedis('one server', () => {
    it('works, and says what is wrong', async () => {
      const port = await findFreePort()
      await startTestRedis(releaser, {
        'tls-port': port,
        'tls-ca-cert-file': own.ca,
        'tls-cert-file': own.cert,
        'tls-key-file': own.key,
        aclfile: acl,
      })
      const url = `rediss://${LOGIN}localhost:${port}`
      expect(await connect({ url, tls })).toBe('OK')
      await expectWorking({ url, tls })
      await expectRefusals(url)
    })
  })

  describeRedis('a cluster that announces host names', () => {
    it('works, and says what is wrong', async () => {
      const cluster = await startTestCluster(releaser, {
        tls: { ...own, host: 'localhost' },
        settings: { aclfile: acl },
      })
      const url = cluster.url.replace('://', `://${LOGIN}`)
      await expectWorking({ url, tls })
      await expectRefusals(url)
    })
  })

  describeRedis('Sentinels with a password of their own', () => {
    it('work, before and after a failover, and say what is wrong', async () => {
      const rights = (await readDocumentedRights('watcher')).join(' ')
      const set = await startTestSentinels(releaser, {
        tls: own,
        settings: { aclfile: acl },
        sentinelSettings: { user: `${rights} >other/secret` },
      })
      const login = '?sentinel_username=watcher&sentinel_password=other%2Fsecret'
      const url = `${set.url.replace('://', `://${LOGIN}`)}${login}`
      await expectWorking({ url, tls })
      const { redis } = open({ url, tls })
      await waitUntilReady(redis)
      const before = await set.master()
      await before.kill9()
      await waitFor('another master', async () => (await set.master().catch(() => before)) !== before, {
        timeoutMs: 30_000,
      })
      await waitFor(
        'a write on it',
        () =>
          redis.set('key', 'after').then(
            () => true,
            () => false,
          ),
        { timeoutMs: 20_000 },
      )
      await expectRefusals(url)
      const refused = connect({ url: url.replace('other%2Fsecret', 'canary'), tls })
      await expect(refused).rejects.toThrow('Redis refuses: No Sentinel names the master: WRONGPASS')
      const unknown = connect({ url: url.replace('/tidings?', '/other?'), tls })
      await expect(unknown).rejects.toThrow('No Sentinel names the master: ERR No such master with that name')
    })
  })
})
