import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { endProcess } from '../servers/guarded-process.ts'
import { useReleaser } from '../testing/test-context.ts'
import { AlreadyRunningError, lockDataDir } from './instance-lock.ts'

const MODULE = fileURLToPath(new URL('./instance-lock.ts', import.meta.url))
/** Named like the script of npm start: takes or gives back the lock at each line, and says what came of it. */
const STARTER = `
const { lockDataDir } = await import(${JSON.stringify(MODULE)})
const { createInterface } = await import('node:readline')
let release
for await (const dataDir of createInterface({ input: process.stdin })) {
  if (release) await release()
  release = dataDir === '' ? undefined : await lockDataDir(dataDir).catch(() => undefined)
  console.log(dataDir === '' ? 'free' : release ? 'won' : 'refused')
}`

const releaser = useReleaser()
afterEach(() => void vi.unstubAllEnvs())

const makeFolder = async () =>
  releaser.add(await mkdtemp(join(tmpdir(), 'tidings-lock-')), (path) => rm(path, { recursive: true }))

async function makeDataDir(holder: number | string | undefined) {
  const dataDir = await makeFolder()
  const file = join(dataDir, 'stack.pid')
  await writeFile(file, String(holder))
  return { dataDir, file }
}

async function startProgram(command: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  releaser.onRelease(() => endProcess(child, 'SIGKILL', 1_000))
  await once(child, 'spawn')
  return child
}

/** A process that looks like npm start. */
async function startStarter() {
  const script = join(await makeFolder(), 'start.ts')
  await writeFile(script, STARTER)
  const child = await startProgram(process.execPath, [script])
  const answers = createInterface({ input: child.stdout ?? process.stdin })
  return {
    pid: child.pid,
    /** Takes the lock of a data directory; with an empty name, gives it back. */
    async tell(dataDir: string): Promise<string> {
      child.stdin?.write(`${dataDir}\n`)
      const [answer] = await once(answers, 'line')
      return String(answer)
    },
  }
}

test('a running stack keeps others out, and says how to get in', async () => {
  const { pid } = await startStarter()
  const { dataDir, file } = await makeDataDir(pid)
  await expect(lockDataDir(dataDir)).rejects.toThrow(AlreadyRunningError)
  await expect(lockDataDir(dataDir)).rejects.toThrow(`(process ${pid})`)
  await expect(lockDataDir(dataDir)).rejects.toThrow(`remove ${file}`)
  expect(await readFile(file, 'utf8')).toBe(String(pid))
})

test('without ps, a process that lives counts as a stack', async () => {
  const { pid } = await startStarter()
  const { dataDir } = await makeDataDir(pid)
  vi.stubEnv('PATH', dataDir)
  await expect(lockDataDir(dataDir)).rejects.toThrow(AlreadyRunningError)
})

test('the lock of a killed process is taken over, without ps too', async () => {
  const child = await startProgram('sleep', ['600'])
  await endProcess(child, 'SIGKILL', 1_000)
  const { dataDir, file } = await makeDataDir(child.pid)
  vi.stubEnv('PATH', dataDir)
  const release = await lockDataDir(dataDir)
  expect(await readFile(file, 'utf8')).toBe(String(process.pid))
  await release()
  expect(await readdir(dataDir)).toEqual([])
})

test('a number that went to another program does not keep us out', async () => {
  // In a container the numbers begin anew: it may even be ours.
  const holders = [
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

test('of many that find the lock of a killed process, one takes it over', async () => {
  const starters = await Promise.all(Array.from({ length: 4 }, startStarter))
  const killed = await startProgram('sleep', ['600'])
  await endProcess(killed, 'SIGKILL', 1_000)
  for (let round = 0; round < 40; round++) {
    const { dataDir } = await makeDataDir(killed.pid)
    const answers = await Promise.all(starters.map(({ tell }) => tell(dataDir)))
    expect(answers.toSorted()).toEqual(['refused', 'refused', 'refused', 'won'])
    expect(await readdir(dataDir)).toEqual(['stack.pid'])
    await Promise.all(starters.map(({ tell }) => tell('')))
  }
})
