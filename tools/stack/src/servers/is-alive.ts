import { hasErrorCode } from '@tidings/runtime/read-file-if-exists'

/** Tells whether a process exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return !hasErrorCode(error, 'ESRCH')
  }
}
