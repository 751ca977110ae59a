import { mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import type { Releaser } from '../testing/releaser.ts'
import { describeRedis, useReleaser } from '../testing/test-context.ts'
import { startPostgres, withClient } from './postgres.ts'
import { startRedis } from './redis.ts'
import { waitFor } from './wait-for.ts'

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Whether this process has the file open; nobody knows where there is no /proc. */
async function isOpen(path: string): Promise<boolean> {
  const fds = await readdir('/proc/self/fd').catch(() => [])
  const files = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return files.includes(path)
}

/** Only its owner may enter it: the servers get by with that, even where PostgreSQL is another user. */
const makeFolder = () => mkdtemp(join(tmpdir(), 'tidings-servers-'))

/** Another name of the same folder, as a data folder on another disk has it. */
async function linkTo(dataDir: string, releaser: Releaser): Promise<string> {
  const link = `${dataDir}-link`
  await symlink(dataDir, link)
  releaser.onRelease(() => rm(link))
  return link
}

describe('a private PostgreSQL', () => {
  const releaser = useReleaser()

  test('keeps what was committed through kill -9, on the same port', { timeout: 60_000 }, async () => {
    const dataDir = releaser.add(await makeFolder(), (path) => rm(path, { recursive: true }))
    const server = releaser.add(await startPostgres({ dataDir, settings: { shared_buffers: '16MB' } }), (s) =>
      s.stop(),
    )
    const { port } = server
    expect(await isOpen(server.logFile)).toBe(false)
    const unexpected: string[] = []
    server.onUnexpectedExit(() => void unexpected.push('exit'))
    await withClient(server.adminUrl, (client) => client.query('CREATE TABLE kept AS SELECT 42 AS answer'))
    for (const end of [server.kill9, () => server.stop('immediate'), () => server.stop('fast')]) {
      const { pid } = server
      await end()
      expect(isAlive(pid)).toBe(false)
      await server.start()
      expect(server.port).toBe(port)
      const kept = await withClient(server.adminUrl, (client) => client.query('SELECT answer FROM kept'))
      expect(kept.rows).toEqual([{ answer: 42 }])
    }
    expect(unexpected).toEqual([])
    process.kill(server.pid, 'SIGKILL')
    await waitFor('the exit to be noticed', () => unexpected.length === 1)
  })

  test('takes over from a server that an earlier parent left behind, and its port', {
    timeout: 60_000,
  }, async () => {
    const dataDir = releaser.add(await makeFolder(), (path) => rm(path, { recursive: true }))
    const options = { durable: false, settings: { shared_buffers: '16MB' } }
    const left = releaser.add(await startPostgres({ dataDir, ...options }), (s) => s.stop())
    const throughLink = { dataDir: await linkTo(dataDir, releaser), urlBefore: left.adminUrl, ...options }
    const next = releaser.add(await startPostgres(throughLink), (s) => s.stop())
    expect(isAlive(left.pid)).toBe(false)
    expect(next.port).toBe(left.port)
    await withClient(next.adminUrl, (client) => client.query('SELECT 1'))
  })
})

describeRedis('a private Redis', () => {
  const releaser = useReleaser()

  test('keeps what it confirmed through kill -9, and can be frozen', { timeout: 60_000 }, async () => {
    const dataDir = releaser.add(await makeFolder(), (path) => rm(path, { recursive: true }))
    const server = releaser.add(await startRedis({ dataDir }), (s) => s.stop())
    const redis = releaser.add(new Redis(server.url, { commandTimeout: 5_000 }), (r) => r.disconnect())
    redis.on('error', () => {})
    expect(await isOpen(server.logFile)).toBe(false)
    await redis.set('kept', '42')
    await server.kill9()
    await server.start()
    await waitFor('the value', async () => (await redis.get('kept')) === '42')

    server.freeze()
    const answer = redis.ping()
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'silence'))])
    expect(first).toBe('silence')
    server.thaw()
    expect(await answer).toBe('PONG')
  })

  test('takes over from a server that an earlier parent left behind, and its port', async () => {
    const dataDir = releaser.add(await makeFolder(), (path) => rm(path, { recursive: true }))
    const left = releaser.add(await startRedis({ dataDir }), (s) => s.stop())
    const throughLink = { dataDir: await linkTo(dataDir, releaser), urlBefore: left.url }
    const next = releaser.add(await startRedis(throughLink), (s) => s.stop())
    expect(isAlive(left.pid)).toBe(false)
    expect(isAlive(next.pid)).toBe(true)
    expect(next.port).toBe(left.port)
  })
})
