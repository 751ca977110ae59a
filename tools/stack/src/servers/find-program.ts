import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where Debian puts the programs of servers. The PATH of a usual user lacks it. */
const SERVER_FOLDER = '/usr/sbin'

/** Returns the path of a program on the PATH or among the servers of the system; undefined when there is none. */
export function findProgram(name: string, path: string | undefined): string | undefined {
  const folders = [...(path ?? '').split(delimiter).filter((folder) => folder !== ''), SERVER_FOLDER]
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
