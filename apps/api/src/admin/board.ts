import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import type { JobQueue } from '@tidings/queue/backend'
import { cutDeepJson } from '@tidings/shared/json'
import { maskValue, SHOWN_DEPTH } from '@tidings/shared/mask'
import type { Job, Queue } from 'bullmq'
import { Hono } from 'hono'
import { serveListedFiles } from './listed-files.ts'

export interface BoardOptions {
  basePath: string
  readOnly: boolean
}

/** Creates a Bull Board for the queues that masks personal data. The caller decides which changes it allows. */
export function createBoard(queues: readonly JobQueue<object>[], { basePath, readOnly }: BoardOptions): Hono {
  const server = new HonoAdapter(serveListedFiles)
  server.setBasePath(basePath)
  createBullBoard({
    queues: queues.map((queue) => {
      const adapter = new BoundedAdapter(toBullQueue(queue), {
        readOnlyMode: readOnly,
        allowRetries: !readOnly,
      })
      adapter.setFormatter('data', (data) => maskValue(shortenData(data)))
      return adapter
    }),
    serverAdapter: server,
    options: { uiConfig: { boardTitle: 'Tidings', pollingInterval: { showSetting: true } } },
  })
  return new Hono({ strict: false }).route(basePath, server.registerPlugin())
}

/** Most events shown of an envelope: a page of full envelopes would block the API for seconds. */
const SHOWN_EVENTS = 10
/** Most characters shown of a job's data. Enough for ten events of maximum size, or for a dead letter. */
const SHOWN_LENGTH = 128 * 1024
/** The board shows only the length of a long value that has more members than this: events have fewer. */
const MAX_MEMBERS = 100

/** Shortens a job's data for the page. */
const shortenData = (data: unknown) => cutLong(cutDeepJson(firstEvents(data), SHOWN_DEPTH), SHOWN_LENGTH)

function firstEvents(data: unknown): unknown {
  if (typeof data !== 'object' || data === null || !('events' in data) || !Array.isArray(data.events))
    return data
  const more = data.events.length - SHOWN_EVENTS
  return more > 0 ? { ...data, events: [...data.events.slice(0, SHOWN_EVENTS), `… and ${more} more`] } : data
}

/** Replaces long members with their length. The ids of the event and the reason of its failure stay visible. */
function cutLong(value: unknown, room: number): unknown {
  const { length } = JSON.stringify(value) ?? ''
  if (length <= room) return value
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : []
  if (members.length === 0 || members.length > MAX_MEMBERS) return `… ${length} characters`
  const cut = members.map(([name, member]) => [name, cutLong(member, room / members.length)] as const)
  return Array.isArray(value) ? cut.map(([, member]) => member) : Object.fromEntries(cut)
}

/** Reads the jobs of a page one by one and shortens each at once: a page of 16 MB jobs would fill the memory. */
class BoundedAdapter extends BullMQAdapter {
  readonly #queue: Queue

  constructor(queue: Queue, options: ConstructorParameters<typeof BullMQAdapter>[1]) {
    super(queue, options)
    this.#queue = queue
  }

  override async getJobs(
    ...[statuses, start = 0, end = -1]: Parameters<BullMQAdapter['getJobs']>
  ): ReturnType<BullMQAdapter['getJobs']> {
    const jobs: Job[] = []
    const ids = await this.#queue.getRanges(
      statuses.filter((status) => status !== 'paused'),
      start,
      end,
    )
    for (const id of ids) {
      const job = await this.#queue.getJob(id)
      if (job === undefined) continue
      // Retry and promote read jobs this way too. They do not write the data back.
      job.data = shortenData(job.data)
      jobs.push(job)
    }
    return jobs
  }
}

/** The adapter works with queues of both backends, but its types name only one. */
function toBullQueue(queue: unknown): Queue {
  return queue as Queue
}
