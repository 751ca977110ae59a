import { readFile } from 'node:fs/promises'

const PAGE = new URL('../../../../docs/queue-backends.md', import.meta.url)

/** The rules that the documentation gives a user, as the arguments of ACL SETUSER. Its password is `password`. */
export async function readDocumentedRights(user: 'tidings' | 'watcher'): Promise<string[]> {
  const page = await readFile(PAGE, 'utf8')
  const [, line] = new RegExp(`^ACL SETUSER (${user} .*)$`, 'm').exec(page) ?? []
  if (line === undefined) throw new Error(`The page names no rights of ${user}`)
  return line.split(' ')
}
