import { readFile, realpath, stat } from 'node:fs/promises'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { errorMessage } from '@tidings/shared/errors'
import {
  generateSigningKey,
  MAX_SIGNING_KEYS,
  parseSigningKeySet,
  type SigningKeySet,
} from '@tidings/shared/signing-keys'
import { type Command, InvalidArgumentError } from 'commander'
import { recordAudit } from '../audit.ts'
import type { CliContext } from '../context.ts'
import { CliError, describeFailure, EXIT, usageError } from '../exit-codes.ts'
import { isMissing } from '../input/file-errors.ts'
import { parseText } from '../input/parse-option.ts'

/** Old keys that go on verifying after a rotation. An access token lives for 15 minutes at most. */
const DEFAULT_KEPT_KEYS = 2
const MAX_KEPT_KEYS = MAX_SIGNING_KEYS - 1

interface RotateOptions {
  file?: string
  keep: number
  standby?: true
  use?: string
}

export function registerKeys(program: Command, context: CliContext): void {
  const keys = program.command('keys').description('Keys that sign access tokens.')
  keys
    .command('generate')
    .description('Print a JWK set of one new Ed25519 key on one line, fit for JWT_KEYS or a JWT_KEYS_FILE.')
    .action(() => context.terminal.write(`${JSON.stringify({ keys: [generateSigningKey()] })}\n`))
    .addHelpText(
      'after',
      `
Examples:
  export JWT_KEYS="$(tidings keys generate)"
  (umask 077; tidings keys generate > /etc/tidings/jwt-keys.json)`,
    )
  keys
    .command('rotate')
    .description('Sign with a new key from now on; the old ones go on verifying, so nobody is logged out.')
    .option(
      '--file <path>',
      'the key set; JWT_KEYS_FILE without it, else the set in JWT_KEYS is printed anew',
      parseText,
    )
    .option('--keep <n>', 'old keys that go on verifying', parseKept, DEFAULT_KEPT_KEYS)
    .option(
      '--standby',
      'add the new key without signing with it yet: for sets that reach replicas one by one',
    )
    .option('--use <kid>', 'sign with a key that is in the set already, instead of a new one')
    .action((options: RotateOptions) => rotateKeys(context, options))
    .addHelpText(
      'after',
      `
A running API picks a changed JWT_KEYS_FILE up within two seconds, without a
restart. Where each replica has JWT_KEYS of its own, rotate in two rounds:
--standby, restart all; --use <kid>, restart all.

Examples:
  tidings keys rotate --file /etc/tidings/jwt-keys.json
  JWT_KEYS="$(tidings keys rotate --standby)"`,
    )
}

function parseKept(text: string): number {
  const kept = Number(text)
  if (Number.isInteger(kept) && kept >= 0 && kept <= MAX_KEPT_KEYS) return kept
  throw new InvalidArgumentError(`Use a whole number from 0 to ${MAX_KEPT_KEYS}.`)
}

async function rotateKeys(context: CliContext, options: RotateOptions): Promise<void> {
  context.assertWritable()
  if (options.standby && options.use !== undefined) throw usageError('Use --standby or --use, not both.')
  const env = context.keyEnv()
  const file = options.file === undefined ? env.JWT_KEYS_FILE : context.resolvePath(options.file)
  if (file === undefined && env.JWT_KEYS === undefined) {
    throw usageError('Name the key set with --file, JWT_KEYS_FILE or JWT_KEYS.')
  }
  const before = readSet(file ?? 'JWT_KEYS', file === undefined ? env.JWT_KEYS : await readText(file))
  const after = rotated(before, options)
  const text = JSON.stringify(after)
  if (file === undefined) await context.terminal.write(`${text}\n`)
  else await replaceFile(file, `${text}\n`)

  const [signer] = after.keys
  const others = after.keys.slice(1).map((key) => key.kid)
  context.terminal.say(`Signs: ${signer?.kid ?? ''}\nVerify as well: ${others.join(', ') || 'none'}`)
  await recordAudit(context, {
    action: 'keys.rotate',
    selector: { ...options, ...(file !== undefined && { file }) },
    matched: before.keys.length,
    changed: 1,
    result: `signs ${signer?.kid ?? ''}`,
  }).catch((error: unknown) =>
    context.terminal.say(
      `The rotation is done, but not in the audit table: ${describeFailure(error).message}`,
    ),
  )
}

/** The new set: the first key signs, all verify. */
function rotated({ keys }: SigningKeySet, { keep, standby, use }: RotateOptions): SigningKeySet {
  if (standby) {
    if (keys.length < MAX_SIGNING_KEYS) return { keys: [...keys, generateSigningKey()] }
    const advice = `tidings keys rotate --use ${keys[0]?.kid ?? ''} --keep ${DEFAULT_KEPT_KEYS}`
    throw new CliError(
      EXIT.failure,
      `The set is full with ${MAX_SIGNING_KEYS} keys. Leave old ones out: ${advice}`,
    )
  }
  if (use === undefined) return { keys: [generateSigningKey(), ...keys.slice(0, keep)] }
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

function readSet(name: string, text = ''): SigningKeySet {
  try {
    return parseSigningKeySet(text)
  } catch (error) {
    throw new CliError(EXIT.failure, `${name} ${errorMessage(error)}`)
  }
}

/**
 * In one step: a running API never reads half a file. The new one can be read by whom the old one could, since the API
 * may be another user than who rotates; a link stays one.
 *
 * @throws CliError when that cannot be, and then the file is as it was.
 */
async function replaceFile(file: string, text: string): Promise<void> {
  try {
    const target = await realpath(file)
    await writeSecretFile(target, text, await stat(target))
  } catch (error) {
    throw new CliError(
      EXIT.failure,
      `${file} is as it was: no new one of the same owner and mode can be put there (${errorMessage(error)}).`,
    )
  }
}
