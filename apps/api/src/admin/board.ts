import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import type { JobQueue } from '@tidings/queue/backend'
import { maskValue } from '@tidings/shared/mask'
import type { Queue } from 'bullmq'
import type { Hono } from 'hono'
import { serveListedFiles } from './listed-files.ts'

export const BOARD_PATH = '/admin/queues'

/** Bull Board over these queues. What it shows of events is masked; what may be changed is for the caller. */
export function createBoard(queues: readonly JobQueue<object>[], readOnly: boolean): Hono {
  const server = new HonoAdapter(serveListedFiles)
  server.setBasePath(BOARD_PATH)
  createBullBoard({
    queues: queues.map((queue) => {
      const adapter = new BullMQAdapter(onAnyBackend(queue), {
        readOnlyMode: readOnly,
        allowRetries: !readOnly,
      })
      adapter.setFormatter('data', maskValue)
      return adapter
    }),
    serverAdapter: server,
    options: { uiConfig: { boardTitle: 'Tidings', pollingInterval: { showSetting: true } } },
  })
  return server.registerPlugin()
}

/** The adapter takes queues of both backends; its types know of one. */
function onAnyBackend(queue: unknown): Queue {
  return queue as Queue
}
