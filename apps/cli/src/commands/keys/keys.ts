import {
  DEFAULT_SIGNING_ALGORITHM,
  generateSigningKey,
  MAX_SIGNING_KEYS,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '@tidings/shared/signing-keys'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCount, parseText } from '../../input/parse-option.ts'
import { DEFAULT_KEPT_KEYS, type RotateOptions, rotateKeys } from './rotate.ts'

export function registerKeys(program: Command, context: CliContext): void {
  const keys = program.command('keys').description('Keys that sign access tokens.')
  keys
    .command('generate')
    .description('Print a JWK set of one new key on one line, for JWT_KEYS or a JWT_KEYS_FILE.')
    .addOption(
      algorithmOption('what the key signs with; ES256 for gateways that do not know EdDSA').default(
        DEFAULT_SIGNING_ALGORITHM,
      ),
    )
    .action(({ alg }: { alg: SigningAlgorithm }) =>
      context.terminal.write(`${JSON.stringify({ keys: [generateSigningKey(alg)] })}\n`),
    )
    .addHelpText(
      'after',
      `
Examples:
  export JWT_KEYS="$(tidings keys generate)"
  export JWT_KEYS="$(tidings keys generate --alg ES256)"
  (umask 077; tidings keys generate > /etc/tidings/jwt-keys.json)`,
    )
  keys
    .command('rotate')
    .description('Sign with a new key. The old keys still verify, so nobody is logged out.')
    .option(
      '--file <path>',
      'the key set; default: JWT_KEYS_FILE, otherwise the set in JWT_KEYS, printed with the new key',
      parseText,
    )
    .addOption(algorithmOption('what the new key signs with, if not as the key that signs now'))
    .option(
      '--keep <n>',
      'old keys that still verify',
      parseCount(0, MAX_SIGNING_KEYS - 1),
      DEFAULT_KEPT_KEYS,
    )
    .option(
      '--standby',
      'add the new key without signing with it yet: for sets that reach replicas one by one',
    )
    .option('--use <kid>', 'sign with a key that is in the set already, instead of a new one')
    .option('-y, --yes', 'do not ask before a file is replaced')
    .action((options: RotateOptions) => rotateKeys(context, options))
    .addHelpText(
      'after',
      `
A running API reads a changed JWT_KEYS_FILE within two seconds, without a
restart. Where each replica has its own JWT_KEYS, rotate in two rounds:
--standby, restart all; --use <kid>, restart all.

Examples:
  tidings keys rotate --file /etc/tidings/jwt-keys.json --yes
  tidings keys rotate --file /etc/tidings/jwt-keys.json --alg ES256
  JWT_KEYS="$(tidings keys rotate --standby)"`,
    )
}

const algorithmOption = (text: string) => new Option('--alg <name>', text).choices(SIGNING_ALGORITHMS)
