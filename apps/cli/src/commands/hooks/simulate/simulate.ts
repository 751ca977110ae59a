import { type Hook, listHooks } from '@tidings/db/operators/hooks'
import type { Provider } from '@tidings/providers/provider'
import type { SimulatedHook } from '@tidings/providers/simulated'
import { openSigningSecret } from '@tidings/shared/hook'
import { withAudit } from '../../../audit.ts'
import { askToGoOn } from '../../../confirm.ts'
import type { CliContext } from '../../../context.ts'
import { CliError, EXIT, usageError } from '../../../exit-codes.ts'
import { readPiped } from '../../../input/read-piped.ts'
import { formatCount } from '../../../terminal/format.ts'
import { writeResult } from '../../../terminal/output.ts'
import { startProgress } from '../../../terminal/progress.ts'
import { findLiveHook } from '../find-live-hook.ts'
import { hookUrl } from '../hook-url.ts'
import { requireSecretsKey } from '../secrets-key.ts'
import { makeEvents } from './events.ts'
import { sendEvents, type Totals } from './send.ts'

export interface SimulateOptions {
  hook?: string
  rate: number
  count: number
  bounce: number
  seed: number
  privateKeyStdin?: true
  yes?: true
}

export async function simulate(
  context: CliContext,
  provider: Provider,
  options: SimulateOptions,
): Promise<void> {
  context.assertWritable()
  const { rate, count, bounce, seed } = options
  const hook = await chooseHook(context, provider, options.hook)
  const target: SimulatedHook = {
    url: hookUrl(context, hook),
    secret: await findSecret(context, hook, options),
    topicArn: hook.credentials[0]?.topicArns?.[0],
  }
  if (!hook.isTrial && !options.yes)
    await askToGoOn(
      context,
      `${hook.name} is no trial. Store ${formatCount(count)} made-up events as its own?`,
    )
  const run = Date.now().toString(36)
  const selector = { name: hook.name, rate, count, bounce, seed, run }
  await withAudit(context, { action: 'hooks.simulate', selector }, async (audit) => {
    const progress = startProgress(context.terminal, 'Events', count)
    const events = makeEvents({ provider, count, bounceRatio: bounce, seed, run })
    const startedMs = performance.now()
    const totals = await sendEvents(events, {
      provider,
      hook: target,
      rate,
      signal: context.interruption(),
      onSent: progress.update,
    }).finally(progress.stop)
    audit.matched = totals.events
    audit.changed = totals.accepted + totals.invalid
    await report(context, totals, { run, seconds: (performance.now() - startedMs) / 1000 })
  })
}

/** The named hook, or the only live one of the provider. */
async function chooseHook(context: CliContext, provider: Provider, given: string | undefined): Promise<Hook> {
  if (given !== undefined) {
    const hook = await findLiveHook(context, given)
    if (hook.provider === provider) return hook
    throw usageError(`${hook.name} is a hook of ${hook.provider}: tidings hooks simulate ${hook.provider}`)
  }
  const all = await listHooks(await context.database())
  const [hook, ...others] = all.filter((each) => each.provider === provider && each.revokedAt === null)
  if (hook === undefined)
    throw new CliError(
      EXIT.notFound,
      `There is no hook of ${provider}. Make one: tidings hooks create ${provider} --name trial --trial`,
    )
  if (others.length === 0) return hook
  const names = [hook, ...others].map(({ name }) => name).join(', ')
  throw usageError(`There are several hooks of ${provider}. Choose with --hook: ${names}.`)
}

async function findSecret(context: CliContext, hook: Hook, options: SimulateOptions): Promise<string> {
  if (options.privateKeyStdin) {
    if (hook.provider !== 'sendgrid') throw usageError('--private-key-stdin is for hooks of SendGrid.')
    return readPiped(context, {
      noun: 'private key',
      advice: '--private-key-stdin reads a pipe: … --private-key-stdin < key.pem',
    })
  }
  const isSealed = hook.credentials.some(({ sealed }) => sealed !== undefined)
  const key = isSealed ? await requireSecretsKey(context) : undefined
  const secret = openSigningSecret(key, hook.id, hook.credentials)
  if (secret !== undefined) return secret
  throw usageError(
    `Only ${hook.provider} can sign requests to the hook ${hook.name}. Make a trial: tidings hooks create ${hook.provider} --name trial --trial`,
  )
}

async function report(
  context: CliContext,
  totals: Totals,
  { run, seconds }: { run: string; seconds: number },
): Promise<void> {
  const { events, requests, accepted, ignored, invalid, failed } = totals
  const n = formatCount
  context.terminal.say(
    `Posted ${n(events)} events in ${n(requests)} requests in ${seconds.toFixed(1)} s: ${n(accepted)} accepted, ` +
      `${n(ignored)} ignored (types without a status), ${n(invalid)} invalid.` +
      (accepted > 0 ? ` The first notification: tidings status simulated-${run}-0` : ''),
  )
  await writeResult(context, { run, seconds, ...totals })
  const failures = Object.entries(failed).map(([what, times]) => `${what} (${n(times)})`)
  if (failures.length === 0) return
  throw new CliError(
    accepted + ignored + invalid > 0 ? EXIT.partial : EXIT.failure,
    `Requests failed: ${failures.join(', ')}. Is the API running, with the same API_URL and HOOK_SECRETS_KEY?`,
  )
}
