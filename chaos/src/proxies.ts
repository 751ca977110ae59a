import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram } from '@tidings/stack/servers/find-program'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { endProcess, spawnGuarded } from '@tidings/stack/servers/guarded-process'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { withLogFile } from '@tidings/stack/servers/with-log-file'
import { inheritedEnv } from './env.ts'

export const PROXIES = ['nginx', 'haproxy'] as const
export type ProxyName = (typeof PROXIES)[number]

const FILES = { nginx: 'nginx.conf', haproxy: 'haproxy.cfg' }
/** The part of a configuration that is one listening port and its APIs. */
const PARTS = {
  nginx: / {2}upstream api \{.*?\n {2}\}\n {2}server \{.*?\n {2}\}\n/s,
  haproxy: /frontend tidings\n.*$/s,
}
/** Where Debian's nginx keeps bodies, only its own user may write. */
const NGINX_FOLDERS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

export interface Proxy {
  /** One port for each lane. Lanes share no connection to an API. */
  ports: number[]
  stop(): Promise<void>
}

export interface ProxyOptions {
  name: ProxyName
  /** For the configuration and the log. */
  dir: string
  apiPorts: readonly number[]
  lanes: number
  /** Seconds that the proxy keeps idle connections to the APIs; nginx only. Default: as deploy/nginx.conf. */
  idleSeconds?: number | undefined
}

/** Starts a proxy with the configuration that deploy/ has for it, with its frontend once for each lane. */
export async function startProxy({ name, dir, apiPorts, lanes, idleSeconds }: ProxyOptions): Promise<Proxy> {
  const program = findProgram(name, inheritedEnv().PATH)
  if (program === undefined) throw new Error(`There is no ${name} on the PATH`)
  await mkdir(dir, { recursive: true })
  const ports = await Promise.all(Array.from({ length: lanes }, findFreePort))
  const template = await readFile(new URL(`../../deploy/${FILES[name]}`, import.meta.url), 'utf8')
  const [part] = PARTS[name].exec(template) ?? []
  if (part === undefined) throw new Error(`deploy/${FILES[name]} has no part to repeat`)
  const repeated = ports.map((port, lane) => fillIn(name, part, lane, port, apiPorts, idleSeconds)).join('\n')
  const file = join(dir, FILES[name])
  await writeFile(
    file,
    inFolder(
      template.replace(part, () => repeated),
      dir,
    ),
  )

  const args =
    name === 'nginx'
      ? ['-c', file, '-e', 'stderr', '-g', 'daemon off; master_process off;']
      : ['-db', '-f', file]
  const child = await withLogFile(join(dir, `${name}.log`), (log) =>
    spawnGuarded(program, args, { env: inheritedEnv(), stdout: log, stderr: log, stopSignal: 'TERM' }),
  )
  const isUp = async (port: number | undefined) =>
    (await fetch(`http://127.0.0.1:${port}/health/ready`, { headers: { connection: 'close' } })).ok
  try {
    await waitFor(
      `${name} to reach the API`,
      async () => (await isUp(ports[0])) && (await isUp(ports.at(-1))),
    )
  } catch (error) {
    await endProcess(child, 'SIGKILL', 1_000)
    throw error
  }
  return { ports, stop: () => endProcess(child, 'SIGTERM', 2_000) }
}

function fillIn(
  name: ProxyName,
  part: string,
  lane: number,
  port: number,
  apiPorts: readonly number[],
  idleSeconds: number | undefined,
): string {
  const listening = part.replace(
    /(listen |bind :)8080/,
    name === 'nginx' ? `listen 127.0.0.1:${port}` : `bind 127.0.0.1:${port}`,
  )
  if (name === 'haproxy')
    return listening
      .replace('frontend tidings', `frontend tidings_${lane}`)
      .replace('default_backend api', `default_backend api_${lane}`)
      .replace('backend api\n', `backend api_${lane}\n`)
      .replace(
        / {2}server-template .*\n/,
        apiPorts.map((api, n) => `  server api-${n} 127.0.0.1:${api}\n`).join(''),
      )
  const servers = apiPorts.map((api) => `    server 127.0.0.1:${api} max_fails=1 fail_timeout=2s;\n`).join('')
  const idle = idleSeconds === undefined ? '' : `    keepalive_timeout ${idleSeconds}s;\n`
  return listening
    .replace('upstream api {', `upstream api_${lane} {`)
    .replace('http://api;', `http://api_${lane};`)
    .replace(/( {4}server api.*\n)+/, servers)
    .replace(/( {4}keepalive \d+;\n)/, `$1${idle}`)
}

/** Puts the files that a proxy writes into `dir`, so that any user may run it. */
const inFolder = (config: string, dir: string) =>
  config
    .replace('/tmp/nginx.pid', join(dir, 'nginx.pid'))
    .replace(
      'http {\n',
      `http {\n${NGINX_FOLDERS.map((name) => `  ${name}_temp_path ${join(dir, name)};\n`).join('')}`,
    )
