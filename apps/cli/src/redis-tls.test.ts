import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RedisTls } from '@tidings/stack/servers/redis'
import { makeCertificates, openssl } from '@tidings/stack/testing/make-certificates'
import {
  createTestDatabase,
  describeRedis,
  makeTestFolder,
  startTestCluster,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { EXIT } from './exit-codes.ts'
import { createCli } from './testing/cli-process.ts'

const name = openssl ? 'Redis over TLS' : 'Redis over TLS: NO OPENSSL ON THE PATH'
describe.skipIf(openssl === undefined)(name, () => {
  describeRedis('a cluster whose URL is in a file', () => {
    const releaser = useReleaser()
    let own: RedisTls
    let other: RedisTls
    let run: (
      tls: Partial<RedisTls>,
      password?: string,
    ) => Promise<{ exitCode: number | null; stderr: string }>

    beforeAll(async () => {
      const folder = await makeTestFolder(releaser)
      own = await makeCertificates(folder, 'own', 'DNS:localhost')
      other = await makeCertificates(folder, 'other', 'DNS:localhost')
      const aclfile = join(folder, 'users.acl')
      await writeFile(aclfile, 'user default on nopass ~* &* +@all\nuser app on >secret ~* &* +@all\n')
      const cluster = await startTestCluster(releaser, {
        tls: { ...own, host: 'localhost' },
        settings: { aclfile },
      })
      const { url: DATABASE_URL } = await createTestDatabase(releaser)
      run = async ({ ca, cert, key }, password = 'secret') => {
        const REDIS_URL_FILE = join(folder, `url-${password}`)
        await writeFile(REDIS_URL_FILE, `${cluster.url.replace('://', `://app:${password}@`)}\n`)
        const cli = createCli({
          DATABASE_URL,
          REDIS_URL_FILE,
          ...(ca && { REDIS_CA_FILE: ca }),
          ...(cert && { REDIS_CERT_FILE: cert }),
          ...(key && { REDIS_KEY_FILE: key }),
        })
        return cli.run('dlq', 'stats')
      }
    })

    it('is read', async () => {
      expect(await run(own)).toMatchObject({ exitCode: EXIT.ok, stderr: '' })
    })

    it.each([
      ['another CA', () => run(other), /self-signed certificate/],
      ['no certificate', () => run({ ca: own.ca }), /certificate required|ECONNRESET|EPIPE/],
      ['a wrong password', () => run(own, 'canary'), /refuses.*WRONGPASS/],
    ] as const)('%s is named, and nothing secret', async (_, attempt, reason) => {
      const { exitCode, stderr } = await attempt()
      expect(exitCode).toBe(EXIT.unreachable)
      expect(stderr).toMatch(reason)
      expect(stderr).not.toMatch(/canary|secret/)
    })
  })
})
