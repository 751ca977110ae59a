import { readdir, readFile } from 'node:fs/promises'

/** Resources that a process has used since its start. */
export interface Usage {
  cpuMs: number
  rssBytes: number
}

/** /proc counts in hundredths of a second (USER_HZ), independent of the kernel's clock. */
const MS_PER_TICK = 10
const PAGE_BYTES = 4_096

/** Usage of one process with all its threads. Undefined without /proc. */
export async function readUsage(pid: number): Promise<Usage | undefined> {
  const fields = await readStat(pid)
  return fields && { cpuMs: fields.ownTicks * MS_PER_TICK, rssBytes: fields.rssPages * PAGE_BYTES }
}

/** Processor time of a process and its children, also of those that ended: PostgreSQL works in child processes. */
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
  // The second field is the process name in parentheses. It may contain spaces, so count from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (index: number) => Number(fields[index] ?? 0)
  return {
    parent: number(1),
    ownTicks: number(11) + number(12),
    endedChildrenTicks: number(13) + number(14),
    rssPages: number(21),
  }
}
