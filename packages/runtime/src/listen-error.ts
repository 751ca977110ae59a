import { StartupError } from './env.ts'

const BAD_HOST = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'])

/**
 * Explains why a server cannot listen.
 *
 * @param error from the server's `error` event.
 * @param portVariable name of the environment variable that sets the port.
 * @returns a StartupError that says what to change when the configuration is wrong; otherwise `error` itself.
 */
export function explainListenError(
  error: NodeJS.ErrnoException,
  { port, host, portVariable }: { port: number; host: string; portVariable: string },
): Error {
  const code = error.code ?? ''
  if (code === 'EADDRINUSE') {
    return new StartupError(
      `Port ${port} on ${host} is already in use. Stop what listens there, or set ${portVariable} to another.`,
    )
  }
  if (code === 'EACCES') {
    return new StartupError(`Only root may listen on port ${port}. Set ${portVariable} to one above 1023.`)
  }
  if (!BAD_HOST.has(code)) return error
  return new StartupError(
    `Cannot listen on HOST=${host} (${code}). Set it to an address of this machine, or to 0.0.0.0 for all of them.`,
  )
}
