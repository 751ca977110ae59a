import { open } from 'node:fs/promises'

/**
 * Opens a log file for appending while `run` runs, and passes it the file descriptor. A process that is spawned
 * meanwhile keeps its own copy.
 */
export async function withLogFile<Result>(
  path: string,
  run: (fd: number) => Promise<Result>,
): Promise<Result> {
  const log = await open(path, 'a')
  try {
    return await run(log.fd)
  } finally {
    await log.close()
  }
}
