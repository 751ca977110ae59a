import { StartupError } from './env.ts'

const BAD_HOST = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'])

/**
 * What a server's `error` event before it listens means to whoever started it: one line that says what to do where
 * the configuration is to blame, else the error itself.
 *
 * @param portVariable name of the variable that the port is from.
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
