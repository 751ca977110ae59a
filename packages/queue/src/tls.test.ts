import { execFile, execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findFreePort } from '@tidings/stack/servers/free-port'
import {
  describeRedis,
  makeTestFolder,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { openRedis, type RedisTarget } from './open-redis.ts'
import { waitUntilReady } from './wait-until-ready.ts'

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'])
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!hasOpenssl)(hasOpenssl ? 'TLS' : 'TLS: NO OPENSSL ON THE PATH', () => {
  describeRedis('a Redis with its own CA that asks for a client certificate', () => {
    const releaser = useReleaser()
    let url: string
    let tls: { ca: string; cert: string; key: string }

    beforeAll(async () => {
      const folder = await makeTestFolder(releaser)
      const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder })
      const subject = ['-nodes', '-newkey', 'rsa:2048', '-days', '2', '-subj', '/CN=localhost']
      await openssl('req', '-x509', ...subject, '-keyout', 'ca.key', '-out', 'ca.pem')
      await openssl(
        ...[
          'req',
          '-x509',
          ...subject,
          '-addext',
          'subjectAltName=DNS:localhost',
          '-CA',
          'ca.pem',
          '-CAkey',
          'ca.key',
        ],
        ...['-keyout', 'server.key', '-out', 'server.pem'],
      )
      const read = (name: string) => readFile(join(folder, name), 'utf8')
      tls = { ca: await read('ca.pem'), cert: await read('server.pem'), key: await read('server.key') }
      const port = await findFreePort()
      await startTestRedis(releaser, {
        'tls-port': port,
        'tls-ca-cert-file': join(folder, 'ca.pem'),
        'tls-cert-file': join(folder, 'server.pem'),
        'tls-key-file': join(folder, 'server.key'),
      })
      url = `rediss://localhost:${port}`
    })

    const connect = async (target: RedisTarget) => {
      const redis = releaser.add(
        openRedis(target, 'operator', () => {}),
        (opened) => opened.disconnect(),
      )
      await waitUntilReady(redis)
      return redis.ping()
    }

    it('answers with the CA and the certificate', async () => {
      expect(await connect({ url, tls })).toBe('PONG')
    })

    it('is not trusted without the CA, and does not answer without the certificate', async () => {
      await expect(connect({ url })).rejects.toThrow(/self-signed certificate|unable to verify/)
      await expect(connect({ url, tls: { ca: tls.ca } })).rejects.toThrow('Redis does not answer')
    })
  })
})
