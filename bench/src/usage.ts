import { readdir, readFile } from 'node:fs/promises'

/** What a process has used since its start. */
export interface Usage {
  cpuMs: number
  rssBytes: number
}

/** Linux counts in hundredths of a second, whatever the kernel's own clock. */
const MS_PER_TICK = 10
const PAGE_BYTES = 4_096

/** Of one process with all its threads; undefined where there is no /proc. */
export async function readUsage(pid: number): Promise<Usage | undefined> {
  const fields = await readStat(pid)
  return fields && { cpuMs: fields.ownTicks * MS_PER_TICK, rssBytes: fields.rssPages * PAGE_BYTES }
}

/** Of a server that works in child processes, as PostgreSQL does; children that ended are in it. */
export async function readTreeCpuMs(pid: number): Promise<number | undefined> {
  const parent = await readStat(pid)
  if (parent === undefined) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const all = await Promise.all(pids.map(readStat))
  const children = all.filter((fields) => fields?.parent === pid)
  const ticks = children.reduce((sum, fields) => sum + (fields?.ownTicks ?? 0), 0)
  return (parent.ownTicks + parent.endedChildrenTicks + ticks) * MS_PER_TICK
}

async function readStat(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  // The second field is the name in parentheses and may hold anything; count from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (index: number) => Number(fields[index] ?? 0)
  return {
    parent: number(1),
    ownTicks: number(11) + number(12),
    endedChildrenTicks: number(13) + number(14),
    rssPages: number(21),
  }
}
