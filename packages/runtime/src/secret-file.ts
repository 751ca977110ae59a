import { open, rename, rm } from 'node:fs/promises'

/** Only the owner may read and write. */
const SECRET_MODE = 0o600

/** Whom a file belongs to, as `stat` returns it. */
export interface FileOwner {
  uid: number
  gid: number
  mode: number
}

/**
 * Replaces a file that holds a secret in one step: a reader sees the old text or the new text, never half of one.
 * The text is on the disk when the promise resolves. The new file belongs to us and has mode 0600.
 *
 * @param owner gives the new file another owner, group and mode instead.
 * @throws when the file cannot be written or given away. Then the old file is unchanged and no other file is left.
 */
export async function writeSecretFile(file: string, text: string, owner?: FileOwner): Promise<void> {
  const unfinished = `${file}.new`
  try {
    await rm(unfinished, { force: true })
    // `wx` refuses a link that somebody else put there meanwhile.
    const handle = await open(unfinished, 'wx', SECRET_MODE)
    try {
      await handle.writeFile(text)
      if (owner !== undefined) {
        await handle.chown(owner.uid, owner.gid)
        await handle.chmod(owner.mode)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(unfinished, file)
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined)
    throw error
  }
}
