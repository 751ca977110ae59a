import { finishRotation, startRotation } from '@tidings/db/operators/hooks'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { writeItem } from '../../terminal/output.ts'
import { type CredentialOptions, readCredential } from './credential.ts'
import { findLiveHook, type KnownHook } from './find-live-hook.ts'
import { hookUrl } from './hook-url.ts'

export interface RotateHookOptions extends CredentialOptions {
  finish?: true
}

export async function rotateHook(
  context: CliContext,
  given: string,
  { finish, ...options }: RotateHookOptions,
): Promise<void> {
  context.assertWritable()
  const hook = await findLiveHook(context, given)
  if (!finish) return start(context, hook, options)
  if (Object.keys(options).length > 0)
    throw usageError('--finish drops the old one: give no new one with it.')
  return end(context, hook)
}

async function start(context: CliContext, hook: KnownHook, options: CredentialOptions): Promise<void> {
  const { credential, secretForProvider } = await readCredential(context, hook, options)
  const outcome = await startRotation(
    await context.database(),
    hook.id,
    credential,
    auditOf(context, hook, 'rotate'),
  )
  if (outcome === 'not_finished')
    throw new CliError(
      EXIT.failure,
      `${hook.name} has two already. Drop the old one first: tidings hooks rotate ${hook.name} --finish`,
    )
  if (outcome === 'not_found') throw gone(hook)
  const { id, provider, name } = hook
  const url = hookUrl(context, hook, secretForProvider)
  await writeItem(context, { id, provider, name, url }, context.globals.output === 'id' ? id : url)
  context.terminal.say(
    `Both work now. In 30 seconds every API knows the new one: let ${provider} use it then. ` +
      `After that: tidings hooks rotate ${name} --finish`,
  )
}

async function end(context: CliContext, hook: KnownHook): Promise<void> {
  const outcome = await finishRotation(
    await context.database(),
    hook.id,
    auditOf(context, hook, 'finish-rotation'),
  )
  if (outcome === 'not_started')
    throw new CliError(EXIT.failure, `${hook.name} has one only: nothing to drop.`)
  if (outcome === 'not_found') throw gone(hook)
  context.terminal.say(`Dropped the old one of ${hook.name}. Running APIs refuse it within 30 seconds.`)
}

const auditOf = (context: CliContext, { id, name }: KnownHook, what: string) => ({
  actor: context.actor(),
  action: `hooks.${what}`,
  selector: { id, name },
  matched: 1,
  changed: 1,
  result: 'rotated',
})

const gone = ({ name }: KnownHook) => new CliError(EXIT.notFound, `${name} was revoked meanwhile.`)
