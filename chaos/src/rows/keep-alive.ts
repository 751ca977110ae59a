import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Ledger } from '../ledger.ts'
import { PROXIES, type ProxyName, startProxy } from '../proxies.ts'
import { check, type Row, type Stage, settleAndCompare } from '../row.ts'
import type { System } from '../system.ts'

/**
 * Pauses between the requests of a connection, in seconds: around the 60 s after which a proxy closes idle connections,
 * around the 65 s after which the API does, and some others.
 */
const GAPS = [
  4, 5, 7, 10, 15, 20, 30, 40, 50, 55, 58, 59, 59.9, 60, 60.1, 61, 62, 63, 64, 64.9, 65, 65.1, 66, 68, 70,
]
const RUN_SECONDS = 75
/** The short form runs on a clock that is this much faster. */
const SHORT_FACTOR = 15

/** A connection that is idle between requests, behind a proxy, never meets an API that is closing it. */
export const keepAliveRows: Row[] = PROXIES.map((name) => ({
  name: `keep-alive-${name}`,
  fault: `idle connections behind ${name}, gaps of 4 to 70 s`,
  short: true,
  concurrent: true,
  needs: name,
  run: (stage) => runBehind(name, stage),
}))

async function runBehind(name: ProxyName, stage: Stage) {
  const factor = stage.short ? SHORT_FACTOR : 1
  const system = await stage.createSystem({
    apis: stage.short ? 1 : 2,
    // As by default, in the same proportion: 65 s and 60 s.
    ...(stage.short && { env: { KEEP_ALIVE_TIMEOUT: '5' } }),
  })
  try {
    await system.startAll()
    const proxy = await startProxy({
      name,
      dir: join(stage.servers.dir, `keep-alive-${name}`),
      apiPorts: system.apis.map((api) => Number(new URL(api.url).port)),
      lanes: GAPS.length,
      idleSeconds: stage.short ? 4 : undefined,
    })
    try {
      const ledger = new Ledger()
      stage.progress(`${RUN_SECONDS / factor} s`)
      const reused = await Promise.all(
        GAPS.map((gap, lane) =>
          postWithGaps({
            system,
            ledger,
            label: `${system.databaseName}-${gap}`,
            port: proxy.ports[lane] ?? 0,
            gapMs: (gap * 1_000) / factor,
            untilMs: performance.now() + (RUN_SECONDS * 1_000) / factor,
          }),
        ),
      )
      const connectionsReused = reused.reduce((sum, count) => sum + count, 0)
      const { posts, failures } = summarize(ledger)
      return [
        ...(await settleAndCompare(system, ledger)),
        check('0 resets, 0 5xx', failures === 0, `${failures} of ${posts} posts`),
        check('connections were reused', connectionsReused > GAPS.length / 2, connectionsReused),
      ]
    } finally {
      await proxy.stop()
    }
  } finally {
    await system.stop()
  }
}

function summarize(ledger: Ledger) {
  const posts = ledger.entries.size
  return { posts, failures: posts - ledger.answered('202') }
}

interface Lane {
  system: System
  ledger: Ledger
  label: string
  port: number
  gapMs: number
  untilMs: number
}

/** Posts one event after each gap, on one connection. Returns how many posts found it open. */
async function postWithGaps({ system, ledger, label, port, gapMs, untilMs }: Lane): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let reused = 0
  try {
    for (let n = 0; ; n++) {
      const notificationId = `${label}-${n}`
      const startedAt = performance.now()
      ledger.send(notificationId)
      const answer = await postOnce(system, agent, port, notificationId)
      ledger.recordAnswer(answer.kind, performance.now() - startedAt)
      if (answer.kind === '202') ledger.learn(notificationId, 'acknowledged')
      if (answer.reused) reused++
      if (performance.now() + gapMs > untilMs) return reused
      await sleep(gapMs)
    }
  } finally {
    agent.destroy()
  }
}

function postOnce({ serviceKey }: System, agent: Agent, port: number, notificationId: string) {
  const body = JSON.stringify({ notification_id: notificationId, status: 'delivered' })
  return new Promise<{ kind: string; reused: boolean }>((resolve) => {
    const call = request(
      `http://127.0.0.1:${port}/api/v1/email/status/`,
      {
        method: 'POST',
        agent,
        headers: {
          authorization: `Bearer ${serviceKey}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        response.resume()
        response.on('end', () => resolve({ kind: String(response.statusCode), reused: call.reusedSocket }))
        response.on('error', () => resolve({ kind: 'reset', reused: call.reusedSocket }))
      },
    )
    call.on('error', () => resolve({ kind: 'reset', reused: call.reusedSocket }))
    call.end(body)
  })
}
