import { createReadStream } from 'node:fs'
import { digestRecipient } from '@tidings/shared/recipient'
import { LIMITS, type NotificationType } from '@tidings/shared/status-event'
import { digestSchema } from '@tidings/shared/suppression'
import type { CliContext } from '../context.ts'
import { usageError } from '../exit-codes.ts'
import { assertReadable } from '../input/assert-readable.ts'
import { readLines } from '../input/read-lines.ts'
import { formatCount } from '../terminal/format.ts'

export interface RecipientOptions {
  channel: NotificationType
  /** The recipients are given as digests. */
  digest?: true
  file?: string
}

export interface GivenRecipient {
  /** As the operator gave it. */
  text: string
  digest: string
}

/** Cut off there: it is too long anyway. */
const MAX_LINE = LIMITS.recipientLength + 1

/** Opens a file of lines; `-` is stdin. @throws CliError `not found`. */
export async function openLines(
  context: CliContext,
  path: string,
  maxLength: number,
): Promise<{ lines: AsyncGenerator<string>; bytesRead(): number }> {
  if (path === '-') {
    const { stdin } = context.terminal
    if (stdin.isTTY) throw usageError('A - reads from a pipe, and stdin is a terminal.')
    return { lines: readLines(stdin, { maxLength, signal: context.interruption() }), bytesRead: () => 0 }
  }
  const resolved = context.resolvePath(path)
  await assertReadable(resolved, path)
  const stream = createReadStream(resolved)
  return {
    lines: readLines(stream, { maxLength, signal: context.interruption() }),
    bytesRead: () => stream.bytesRead,
  }
}

/**
 * Reads the recipients of a command: one as the argument, or one on each line of stdin or a file. Many do not belong
 * into the arguments, which every user of the machine can see.
 */
export async function readRecipients(
  context: CliContext,
  argument: string | undefined,
  options: RecipientOptions,
): Promise<GivenRecipient[]> {
  const source = argument === '-' ? '-' : options.file
  if ((argument !== undefined && argument !== '-') === (source !== undefined) || (argument && options.file))
    throw usageError('Give one recipient, or - to read them from stdin, or --file.')
  const texts: string[] = []
  if (source === undefined) texts.push(argument ?? '')
  else {
    const { lines } = await openLines(context, source, MAX_LINE)
    for await (const line of lines) if (line.trim() !== '') texts.push(line.trim())
  }
  const { RECIPIENT_KEY } = context.env()
  return texts.map((text, index) => {
    const problem = findProblem(text, options)
    if (problem !== undefined) throw usageError(`Recipient ${index + 1} ${problem}.`)
    return { text, digest: options.digest ? text : digestRecipient(RECIPIENT_KEY, options.channel, text) }
  })
}

/** Says what is wrong with a recipient. Without this check, a mistyped one would be suppressed and nobody would notice. */
function findProblem(text: string, { digest, channel }: RecipientOptions): string | undefined {
  if (digest) return digestSchema.safeParse(text).success ? undefined : 'is no digest'
  if (text.trim() === '') return 'is empty: a variable may be unset'
  if (text.length >= MAX_LINE) return 'is too long'
  if (channel === 'email' && !text.includes('@'))
    return 'is no e-mail address: a push token needs --channel push, a digest --digest'
}

/** Splits a list, so that one transaction does not hold many locks. */
export function* inBatches<Item>(items: readonly Item[], size = 500): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}

/** `1 recipient`, `2 recipients`. */
export const recipientCount = (count: number) =>
  `${formatCount(count)} ${count === 1 ? 'recipient' : 'recipients'}`
