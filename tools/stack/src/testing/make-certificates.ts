import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from '../servers/find-program.ts'

const run = promisify(execFile)

/** The path of openssl, which makes the certificates. Undefined: the machine has none. */
export const openssl = findProgram('openssl', process.env.PATH)

/** Paths of PEM files. */
export interface Certificates {
  ca: string
  cert: string
  key: string
}

/** Makes a CA, and a certificate of it in a folder. By default it is for 127.0.0.1, and not for localhost. */
export async function makeCertificates(
  folder: string,
  name = 'server',
  host = 'IP:127.0.0.1',
): Promise<Certificates> {
  if (openssl === undefined) throw new Error('There is no openssl on the PATH.')
  const path = (file: string) => join(folder, `${name}-${file}`)
  const newKey = (file: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-noenc',
    '-keyout',
    path(file),
  ]
  await run(openssl, [
    'req',
    '-x509',
    ...newKey('ca.key'),
    '-out',
    path('ca.pem'),
    '-days',
    '2',
    '-subj',
    `/CN=CA of ${name}`,
  ])
  await run(openssl, ['req', ...newKey('key.pem'), '-out', path('request.pem'), '-subj', '/CN=server'])
  await writeFile(path('names'), `subjectAltName=${host}\n`)
  await run(openssl, [
    ...['x509', '-req', '-in', path('request.pem'), '-CA', path('ca.pem'), '-CAkey', path('ca.key')],
    ...['-CAcreateserial', '-days', '2', '-extfile', path('names'), '-out', path('cert.pem')],
  ])
  return { ca: path('ca.pem'), cert: path('cert.pem'), key: path('key.pem') }
}
