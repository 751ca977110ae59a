import { setFlagsFromString } from 'node:v8'
import { StartupError } from './env.ts'

/**
 * Stops V8 from allocating long-lived kinds of objects directly in the old generation. Requests that wait for the
 * queue trigger that, and their dead objects then keep young ones alive. With 128 connections the API needed 1.4
 * times the processor time (docs/decisions/0007-new-objects-stay-young.md).
 */
const KEEP_NEW_OBJECTS_YOUNG = '--no-allocation-site-pretenuring'

/**
 * Runs the main function of a process. For main.ts files only: an error ends the process with exit code 1, after its
 * message (StartupError) or its stack (any other error) was written to stderr.
 */
export async function runMain(main: () => Promise<void>): Promise<void> {
  setFlagsFromString(KEEP_NEW_OBJECTS_YOUNG)
  try {
    await main()
  } catch (error) {
    const text =
      error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error)
    process.stderr.write(`${text}\n`)
    process.exit(1)
  }
}
