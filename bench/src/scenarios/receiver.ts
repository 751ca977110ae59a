import { makeSendgridKeys } from '@tidings/providers/sendgrid/sign'
import { newHookId } from '@tidings/shared/hook'
import { TIDINGS } from '../contenders/tidings.ts'
import type { HookTraffic } from '../load/protocol.ts'
import type { Site } from '../site.ts'
import { measureFullLoad, RATE_COLUMNS, toIngestMetrics, USAGE_COLUMNS } from './full-load.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Scenario } from './scenario.ts'

const CONNECTIONS = 16
const BATCH = 100
/** What a provider's batch must reach of the plain one. */
const GOAL = 0.5

type HookRequests = Pick<HookTraffic, 'path' | 'privateKey'>

/** Batches of 100 events that SendGrid signed, beside the same number in the plain batch route. */
export const RECEIVER: Scenario = {
  name: 'receiver',
  title: 'Receiver of SendGrid, signed batches of 100',
  async run(context) {
    const hook = await makeHook(context.site)
    const subject = (name: string, label: string, used?: HookRequests) => ({
      name,
      label,
      kind: 'tidings' as const,
      measure: (round: number) =>
        measureFullLoad(
          context,
          TIDINGS,
          {
            connections: CONNECTIONS,
            batch: BATCH,
            seconds: context.effort.seconds / 2,
            warmUpSeconds: context.effort.warmUpSeconds / 2,
            round,
            ...(used && { hook: used }),
          },
          ({ full }) => toIngestMetrics(full),
        ),
    })
    const rows = await runRounds(context, 'receiver', [
      subject('plain', 'Tidings, plain batches'),
      subject('sendgrid', 'Tidings, batches of SendGrid', hook),
    ])
    const share = ratioOf(rows, 'sendgrid', 'storedPerSecond', 'plain')
    return {
      columns: [...RATE_COLUMNS, ...USAGE_COLUMNS],
      rows,
      goals: [
        {
          text: `a signed batch at least ${GOAL * 100} % of a plain one`,
          figure: `${(share * 100).toFixed(0)} %`,
          met: share >= GOAL,
        },
      ],
      notes: [
        `${CONNECTIONS} connections, ${BATCH} events per POST; events, not requests, per second.`,
        'The events of SendGrid have ids and recipients, and the plain ones have neither.',
      ],
    }
  },
}

/** A hook of SendGrid whose private key we have. */
async function makeHook({ pool }: Site): Promise<HookRequests> {
  const { publicKey, privateKey } = makeSendgridKeys()
  const id = newHookId()
  await pool.query(
    `INSERT INTO hooks (id, provider, name, credentials, is_trial) VALUES ($1, 'sendgrid', 'bench', $2, true)`,
    [id, JSON.stringify([{ publicKey }])],
  )
  return { path: `/hooks/sendgrid/${id}`, privateKey }
}
