import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import type { JobQueue } from '@tidings/queue/backend'
import { maskValue } from '@tidings/shared/mask'
import type { Queue } from 'bullmq'
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
      const adapter = new BullMQAdapter(onAnyBackend(queue), {
        readOnlyMode: readOnly,
        allowRetries: !readOnly,
      })
      adapter.setFormatter('data', (data) => maskValue(firstEvents(data)))
      return adapter
    }),
    serverAdapter: server,
    options: { uiConfig: { boardTitle: 'Tidings', pollingInterval: { showSetting: true } } },
  })
  return new Hono({ strict: false }).route(basePath, server.registerPlugin())
}

/** Of an envelope's events, so many are shown: a page of full envelopes would hold up the API for seconds. */
const SHOWN_EVENTS = 10

function firstEvents(data: unknown): unknown {
  if (typeof data !== 'object' || data === null || !('events' in data) || !Array.isArray(data.events))
    return data
  const more = data.events.length - SHOWN_EVENTS
  return more > 0 ? { ...data, events: [...data.events.slice(0, SHOWN_EVENTS), `… and ${more} more`] } : data
}

/** The adapter takes queues of both backends; its types know of one. */
function onAnyBackend(queue: unknown): Queue {
  return queue as Queue
}
