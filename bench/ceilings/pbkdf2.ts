import { pbkdf2 } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { report } from './report.ts'

/** Password hashes on all cores, and nothing else. */
const hash = promisify(pbkdf2)
const [iterations, seconds] = process.argv.slice(2).map(Number)
if (iterations === undefined || seconds === undefined) throw new Error('usage: pbkdf2.ts ITERATIONS SECONDS')

const startedMs = performance.now()
let done = 0
async function hashUntilEnd(iterations: number, endMs: number) {
  while (performance.now() < endMs) {
    await hash('correct horse battery staple', 'salt-of-22-characters!', iterations, 32, 'sha256')
    done++
  }
}
const endMs = startedMs + seconds * 1_000
await Promise.all(Array.from({ length: availableParallelism() }, () => hashUntilEnd(iterations, endMs)))
report(done, startedMs)
process.disconnect?.()
