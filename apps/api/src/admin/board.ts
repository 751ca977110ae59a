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

/** Bull Board over these queues. What it shows of events is masked; what may be changed is for the caller. */
export function createBoard(queues: readonly JobQueue<object>[], { basePath, readOnly }: BoardOptions): Hono {
  const server = new HonoAdapter(serveListedFiles)
  server.setBasePath(basePath)
  createBullBoard({
    queues: queues.map((queue) => {
      const adapter = new BoundedAdapter(onAnyBackend(queue), {
        readOnlyMode: readOnly,
        allowRetries: !readOnly,
      })
      adapter.setFormatter('data', (data) => maskValue(shownData(data)))
      return adapter
    }),
    serverAdapter: server,
    options: { uiConfig: { boardTitle: 'Tidings', pollingInterval: { showSetting: true } } },
  })
  return new Hono({ strict: false }).route(basePath, server.registerPlugin())
}

/** Of an envelope's events, so many are shown: a page of full envelopes would hold up the API for seconds. */
const SHOWN_EVENTS = 10
/** So much of a job's data is shown, in characters: ten events of the largest that are accepted, and a dead letter. */
const SHOWN_LENGTH = 128 * 1024
/** What has more members and is too long is no event of ours. */
const MAX_MEMBERS = 100

/** What is shown of a job's data; of what it returned, the same. */
const shownData = (data: unknown) => cutLong(cutDeepJson(firstEvents(data), SHOWN_DEPTH), SHOWN_LENGTH)

function firstEvents(data: unknown): unknown {
  if (typeof data !== 'object' || data === null || !('events' in data) || !Array.isArray(data.events))
    return data
  const more = data.events.length - SHOWN_EVENTS
  return more > 0 ? { ...data, events: [...data.events.slice(0, SHOWN_EVENTS), `… and ${more} more`] } : data
}

/** A JSON value without what is too long in it: so one still sees which event it is, and why it died. */
function cutLong(value: unknown, room: number): unknown {
  const { length } = JSON.stringify(value) ?? ''
  if (length <= room) return value
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : []
  if (members.length === 0 || members.length > MAX_MEMBERS) return `… ${length} characters`
  const cut = members.map(([name, member]) => [name, cutLong(member, room / members.length)] as const)
  return Array.isArray(value) ? cut.map(([, member]) => member) : Object.fromEntries(cut)
}

/**
 * Reads a page's jobs one after the other, and keeps of each what is shown: anybody's job may be as long as 16 MB, and
 * a page of such would fill memory.
 */
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
      // Retrying and promoting, which read jobs so too, write none of it back.
      job.data = shownData(job.data)
      jobs.push(job)
    }
    return jobs
  }
}

/** The adapter takes queues of both backends; its types know of one. */
function onAnyBackend(queue: unknown): Queue {
  return queue as Queue
}
