import { open } from 'node:fs/promises'

/** Opens a file to append to for as long as `run` takes: a process that is started meanwhile has it for itself. */
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
