import { readFile, realpath, stat } from 'node:fs/promises'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { errorMessage } from '@tidings/shared/errors'
import {
  generateSigningKey,
  MAX_SIGNING_KEYS,
  parseSigningKeySet,
  type SigningAlgorithm,
  type SigningKeySet,
} from '@tidings/shared/signing-keys'
import { recordAudit } from '../../audit.ts'
import { askToGoOn } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, describeFailure, EXIT, usageError } from '../../exit-codes.ts'
import { isMissing } from '../../input/file-errors.ts'

/** Old keys that still verify after a rotation. An access token lives for 15 minutes at most. */
export const DEFAULT_KEPT_KEYS = 2

export interface RotateOptions {
  file?: string
  /** Of the new key; otherwise that of the key that signs now. */
  alg?: SigningAlgorithm
  keep: number
  standby?: true
  use?: string
  yes?: true
}

export async function rotateKeys(context: CliContext, options: RotateOptions): Promise<void> {
  context.assertWritable()
  if (options.standby && options.use !== undefined) throw usageError('Use --standby or --use, not both.')
  if (options.alg !== undefined && options.use !== undefined)
    throw usageError('--use signs with a key that exists, so it takes no --alg.')
  const env = context.keyEnv()
  const file = options.file === undefined ? env.JWT_KEYS_FILE : context.resolvePath(options.file)
  if (file === undefined && env.JWT_KEYS === undefined) {
    throw usageError('Name the key set with --file, JWT_KEYS_FILE or JWT_KEYS.')
  }
  const before = parseSet(file ?? 'JWT_KEYS', file === undefined ? env.JWT_KEYS : await readText(file))
  const after = rotateSet(before, options)
  const text = JSON.stringify(after)
  // Without a file nothing changes: the new set is only printed.
  if (file !== undefined && !options.yes) await askToGoOn(context, describeChange(file, before, after))
  if (file === undefined) await context.terminal.write(`${text}\n`)
  else await replaceFile(file, `${text}\n`)

  const [signer] = after.keys
  const others = after.keys.slice(1).map((key) => key.kid)
  context.terminal.say(`Signs: ${signer?.kid ?? ''}\nVerify as well: ${others.join(', ') || 'none'}`)
  const { yes: _, ...selector } = options
  await recordAudit(context, {
    action: 'keys.rotate',
    selector: { ...selector, ...(file !== undefined && { file }) },
    matched: before.keys.length,
    changed: 1,
    result: `signs ${signer?.kid ?? ''}`,
  }).catch((error: unknown) =>
    context.terminal.say(
      `The rotation is done, but not in the audit table: ${describeFailure(error).message}`,
    ),
  )
}

/** Tokens of a key that is removed are refused at once. */
function describeChange(file: string, before: SigningKeySet, after: SigningKeySet): string {
  const kept = new Set(after.keys.map((key) => key.kid))
  const removed = before.keys.filter((key) => !kept.has(key.kid)).length
  const end = removed === 0 ? '' : `, and remove ${removed === 1 ? '1 old key' : `${removed} old keys`}`
  return `Replace ${file}: ${after.keys[0]?.kid ?? ''} signs${end}?`
}

/** Makes the new set. Its first key signs, all verify. */
function rotateSet(
  { keys }: SigningKeySet,
  { keep, standby, use, ...options }: RotateOptions,
): SigningKeySet {
  const alg = options.alg ?? keys[0]?.alg
  if (standby) {
    if (keys.length < MAX_SIGNING_KEYS) return { keys: [...keys, generateSigningKey(alg)] }
    const advice = `tidings keys rotate --use ${keys[0]?.kid ?? ''} --keep ${DEFAULT_KEPT_KEYS}`
    throw new CliError(
      EXIT.failure,
      `The set is full with ${MAX_SIGNING_KEYS} keys. Remove old ones with: ${advice}`,
    )
  }
  if (use === undefined) return { keys: [generateSigningKey(alg), ...keys.slice(0, keep)] }
  const chosen = keys.find((key) => key.kid === use)
  if (chosen === undefined) throw new CliError(EXIT.notFound, `The set has no key ${use}.`)
  return { keys: [chosen, ...keys.filter((key) => key !== chosen).slice(0, keep)] }
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    const reason = isMissing(error)
      ? `There is no file ${file}; make one: tidings keys generate > ${file}`
      : `Cannot read ${file}: ${errorMessage(error)}`
    throw new CliError(EXIT.notFound, reason)
  })
}

function parseSet(name: string, text = ''): SigningKeySet {
  try {
    return parseSigningKeySet(text)
  } catch (error) {
    throw new CliError(EXIT.failure, `${name} ${errorMessage(error)}`)
  }
}

/**
 * Replaces the file in one step, so that a running API never reads half of it. The new file gets the owner and mode of
 * the old one: the API may run as another user than the operator. A symbolic link stays a link.
 *
 * @throws CliError when the file cannot be replaced. It is then unchanged.
 */
async function replaceFile(file: string, text: string): Promise<void> {
  try {
    const target = await realpath(file)
    await writeSecretFile(target, text, await stat(target))
  } catch (error) {
    throw new CliError(
      EXIT.failure,
      `${file} is unchanged: a new file with its owner and mode cannot be written there (${errorMessage(error)}).`,
    )
  }
}
