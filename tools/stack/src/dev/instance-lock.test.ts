import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { endProcess } from '../servers/guarded-process.ts'
import { makeTestFolder, useReleaser } from '../testing/test-context.ts'
import { AlreadyRunningError, lockDataDir } from './instance-lock.ts'

const MODULE = fileURLToPath(new URL('./instance-lock.ts', import.meta.url))
/** Named like the script of npm start. Each line of its input is a folder to lock; an empty line releases the lock. */
const STARTER = `
const { lockDataDir } = await import(${JSON.stringify(MODULE)})
const { createInterface } = await import('node:readline')
let release
for await (const dataDir of createInterface({ input: process.stdin })) {
  if (release) await release()
  release = dataDir === '' ? undefined : await lockDataDir(dataDir).catch(() => undefined)
  console.log(dataDir === '' ? 'free' : release ? 'locked' : 'refused')
}`
const STARTERS = 4
/** A take-over without the second lock loses the race in about one of ten rounds. */
const ROUNDS = 40

const releaser = useReleaser()
let starters: Awaited<ReturnType<typeof startStarter>>[]
let endedPid: number | undefined
beforeAll(async () => {
  starters = await Promise.all(Array.from({ length: STARTERS }, startStarter))
  const ended = await startProgram('sleep', ['600'])
  await endProcess(ended, 'SIGKILL', 1_000)
  endedPid = ended.pid
})
afterEach(() => void vi.unstubAllEnvs())

/** Returns a data folder that the process locked. */
async function makeDataDir(pid: number | string | undefined) {
  const dataDir = await makeTestFolder(releaser)
  const file = join(dataDir, 'stack.pid')
  await writeFile(file, String(pid))
  return { dataDir, file }
}

async function startProgram(command: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  releaser.onRelease(() => endProcess(child, 'SIGKILL', 1_000))
  await once(child, 'spawn')
  return child
}

/** Starts a process that looks like npm start. */
async function startStarter() {
  const script = join(await makeTestFolder(releaser), 'start.ts')
  await writeFile(script, STARTER)
  const child = await startProgram(process.execPath, [script])
  const answers = createInterface({ input: child.stdout ?? process.stdin })
  return {
    pid: child.pid,
    /** Locks a data folder, or releases the lock when `dataDir` is empty. Returns what happened. */
    async lock(dataDir: string): Promise<string> {
      child.stdin?.write(`${dataDir}\n`)
      const [answer] = await once(answers, 'line')
      return String(answer)
    },
  }
}

test('a running npm start keeps others out, and the error says what to do', async () => {
  const pid = starters[0]?.pid
  const { dataDir, file } = await makeDataDir(pid)
  await expect(lockDataDir(dataDir)).rejects.toThrow(AlreadyRunningError)
  await expect(lockDataDir(dataDir)).rejects.toThrow(`(process ${pid})`)
  await expect(lockDataDir(dataDir)).rejects.toThrow(`remove ${file}`)
  expect(await readFile(file, 'utf8')).toBe(String(pid))
})

test('without ps, any running process counts as npm start', async () => {
  const { dataDir } = await makeDataDir(starters[0]?.pid)
  vi.stubEnv('PATH', dataDir)
  await expect(lockDataDir(dataDir)).rejects.toThrow(AlreadyRunningError)
})

test('the lock of a killed process is taken over, also without ps', async () => {
  const { dataDir, file } = await makeDataDir(endedPid)
  vi.stubEnv('PATH', dataDir)
  const release = await lockDataDir(dataDir)
  expect(await readFile(file, 'utf8')).toBe(String(process.pid))
  await release()
  expect(await readdir(dataDir)).toEqual([])
})

test('a lock with the process id of another program is taken over', async () => {
  const holders = [
    // Process ids start again in each container, so the id may be our own.
    process.pid,
    (await startProgram('sleep', ['600'])).pid,
    (await startProgram(process.execPath, ['-e', 'process.stdin.resume()'])).pid,
    'no number',
    '',
  ]
  for (const holder of holders) {
    const { dataDir } = await makeDataDir(holder)
    const release = await lockDataDir(dataDir)
    await release()
  }
})

test('of several that find the lock of a killed process, one takes it over', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { dataDir } = await makeDataDir(endedPid)
    const answers = await Promise.all(starters.map(({ lock }) => lock(dataDir)))
    expect(answers.toSorted()).toEqual(['locked', 'refused', 'refused', 'refused'])
    expect(await readdir(dataDir)).toEqual(['stack.pid'])
    await Promise.all(starters.map(({ lock }) => lock('')))
  }
})
