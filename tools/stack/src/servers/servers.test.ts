import { mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe, expect, inject, test } from 'vitest'
import type { Releaser } from '../releaser.ts'
import { describeRedis, makeTestFolder, startTestRedis, useReleaser } from '../testing/test-context.ts'
import { isAlive } from './is-alive.ts'
import { startPostgres, withClient } from './postgres.ts'
import { startRedis } from './redis.ts'
import { waitFor } from './wait-for.ts'

/** Tells whether this process has the file open. Returns false where there is no /proc. */
async function isOpen(path: string): Promise<boolean> {
  const fds = await readdir('/proc/self/fd').catch(() => [])
  const files = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return files.includes(path)
}

/** Returns another path of the same folder, as of a data folder on another disk. */
async function linkTo(dataDir: string, releaser: Releaser): Promise<string> {
  const link = join(await makeTestFolder(releaser), 'link')
  await symlink(dataDir, link)
  return link
}

describe('a private PostgreSQL', () => {
  const releaser = useReleaser()
  const settings = { shared_buffers: '16MB' }

  test('keeps committed rows through kill -9, on the same port', async () => {
    // mkdtemp lets only its owner in: that must do, even when PostgreSQL runs as another user.
    const dataDir = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-servers-')), (path) =>
      rm(path, { recursive: true }),
    )
    const server = releaser.add(await startPostgres({ dataDir, settings }), (s) => s.stop())
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
    await waitFor('the exit to be reported', () => unexpected.length === 1)
  })

  test('stops a server that an earlier parent left on the folder, and takes its port', async () => {
    const dataDir = await makeTestFolder(releaser)
    const options = { durable: false, settings }
    const left = releaser.add(await startPostgres({ dataDir, ...options }), (s) => s.stop())
    const link = await linkTo(dataDir, releaser)
    const next = releaser.add(await startPostgres({ dataDir: link, ...options }), (s) => s.stop())
    expect(isAlive(left.pid)).toBe(false)
    expect(next.port).toBe(left.port)
    await withClient(next.adminUrl, (client) => client.query('SELECT 1'))
  })
})

describeRedis('a private Redis', () => {
  const releaser = useReleaser()

  test('keeps confirmed writes through kill -9, and can be frozen', async () => {
    const server = await startTestRedis(releaser)
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

  test('stops a server that an earlier parent left on the folder, and takes its port', async () => {
    const dataDir = await makeTestFolder(releaser)
    const server = inject('servers').redisProgram ?? ''
    const left = releaser.add(await startRedis({ dataDir, server }), (s) => s.stop())
    const link = await linkTo(dataDir, releaser)
    const next = releaser.add(await startRedis({ dataDir: link, server }), (s) => s.stop())
    expect(isAlive(left.pid)).toBe(false)
    expect(isAlive(next.pid)).toBe(true)
    expect(next.port).toBe(left.port)
  })
})
