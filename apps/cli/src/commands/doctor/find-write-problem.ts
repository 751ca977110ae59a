import type { CliContext } from '../../context.ts'
import { storeError } from '../../exit-codes.ts'

/**
 * Tries a small write: a read-only replica and a full store answer reads.
 *
 * @returns the reason when the store refuses it. Undefined when it is written, and where this command may not write.
 */
export async function findWriteProblem(
  context: CliContext,
  write: () => Promise<void>,
): Promise<string | undefined> {
  try {
    context.assertWritable()
  } catch {
    return undefined
  }
  try {
    await write()
    return undefined
  } catch (error) {
    return storeError(error)
  }
}
