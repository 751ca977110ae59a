import { parentPort, workerData } from 'node:worker_threads'
import { errorMessage } from '@tidings/shared/errors'
import type { Hono } from 'hono'
import { createBoard } from './board.ts'
import type { BoardReply, BoardRequest, BoardThreadData } from './board-messages.ts'
import { createBoardQueues } from './board-queues.ts'

/** Answers the requests of the thread that started this one. */
function serveBoard(
  { backend, shards, basePath }: BoardThreadData,
  reply: (message: BoardReply, transfer?: ArrayBuffer[]) => void,
): (request: BoardRequest) => Promise<void> {
  const boardQueues = createBoardQueues(backend, shards, (error) => reply({ warning: errorMessage(error) }))
  const boards = new Map<boolean, Hono>()

  async function boardFor(readOnly: boolean): Promise<Hono> {
    const queues = await boardQueues.open()
    const board = boards.get(readOnly) ?? createBoard(queues, { basePath, readOnly })
    boards.set(readOnly, board)
    return board
  }

  return async ({ id, method, url, headers, readOnly }) => {
    try {
      const board = await boardFor(readOnly)
      const response = await board.fetch(new Request(url, { method, headers }))
      const body = await response.arrayBuffer()
      reply({ id, status: response.status, headers: [...response.headers], body }, [body])
    } catch (error) {
      reply({ id, failure: errorMessage(error) })
    }
  }
}

if (parentPort !== null) {
  const port = parentPort
  const answer = serveBoard(workerData as BoardThreadData, (message, transfer) =>
    port.postMessage(message, transfer),
  )
  port.on('message', (request: BoardRequest) => void answer(request))
}
