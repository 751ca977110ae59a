import type { CliContext } from '../../context.ts'
import { formatAge } from '../../terminal/format.ts'
import { writeItem } from '../../terminal/output.ts'
import { createPaint, printable } from '../../terminal/table.ts'
import { findLiveHook, type KnownHook } from './find-live-hook.ts'
import { hookUrl } from './hook-url.ts'
import { describeState, toHookJson } from './list.ts'

export async function showHook(context: CliContext, given: string): Promise<void> {
  const hook = await findLiveHook(context, given)
  const url = hookUrl(context, hook)
  const publicKeys = hook.credentials.flatMap(({ publicKey }) => publicKey ?? [])
  const topicArns = hook.credentials.flatMap(({ topicArns = [] }) => topicArns)
  const shown = { ...toHookJson(hook), url, public_keys: publicKeys, topic_arns: topicArns }
  const text =
    context.globals.output === 'id' ? hook.id : describe(context, hook, { url, publicKeys, topicArns })
  await writeItem(context, shown, text)
}

function describe(
  { terminal }: CliContext,
  hook: KnownHook,
  { url, publicKeys, topicArns }: { url: string; publicKeys: string[]; topicArns: string[] },
): string {
  const paint = createPaint(terminal.colors.stdout)
  const when = (date: Date | null) =>
    date === null ? 'never' : `${date.toISOString()}  ${formatAge(date.toISOString())} ago`
  const rows: [string, string][] = [
    ['Hook', paint('bold', hook.name)],
    ['Id', hook.id],
    ['Provider', hook.provider],
    ['State', describeState(hook)],
    ['URL', url],
    ...publicKeys.map((key): [string, string] => ['Public key', printable(key)]),
    ...topicArns.map((arn): [string, string] => ['Topic', printable(arn)]),
    ['Created', when(hook.createdAt)],
    ['Last used', when(hook.lastUsedAt)],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}`).join('\n')
}
