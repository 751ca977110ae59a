import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { SealError, unseal } from './seal.ts'

/** Becomes the `source` of the hook's events, as the name of a service key does. */
export const hookNameSchema = z.string().regex(/^[\w.-]{1,64}$/)

/** 128 random bits in the path of a hook's URL. Nobody can guess one. */
export const newHookId = (): string => randomBytes(16).toString('hex')

export const isHookId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)

/** Most credentials of a hook: the new one, and the old one while it is rotated. */
export const MAX_HOOK_CREDENTIALS = 2

/** What verifies the requests of a hook, as it is stored and cached. */
export const hookCredentialSchema = z.object({
  /**
   * Encrypted with HOOK_SECRETS_KEY: the secret that the provider shares with us; of a trial hook with a public key, its
   * private key.
   */
  sealed: z.string().optional(),
  publicKey: z.string().optional(),
  /** Topics that SNS may deliver from. */
  topicArns: z.array(z.string()).optional(),
})
export type HookCredential = z.infer<typeof hookCredentialSchema>

/** What a receiver verifies with, in plain text. */
interface VerifyingCredentials {
  /** Shared secrets or public keys, the newest first. */
  secrets: string[]
  topicArns: string[]
}

/**
 * Opens what verifies the requests of a hook.
 *
 * @param secretsKey HOOK_SECRETS_KEY. Not needed for a hook that only has public keys or topics.
 * @throws SealError when the key is missing or another one.
 */
export function openCredentials(
  secretsKey: string | undefined,
  hookId: string,
  credentials: readonly HookCredential[],
): VerifyingCredentials {
  return {
    secrets: credentials.flatMap(
      ({ publicKey, sealed }) => publicKey ?? (sealed === undefined ? [] : open(secretsKey, hookId, sealed)),
    ),
    topicArns: credentials.flatMap(({ topicArns = [] }) => topicArns),
  }
}

/**
 * Opens what signs requests as the provider does: the newest shared secret, or the private key of a trial hook. Undefined
 * when only the provider has it.
 *
 * @throws SealError
 */
export function openSigningSecret(
  secretsKey: string | undefined,
  hookId: string,
  [newest]: readonly HookCredential[],
): string | undefined {
  return newest?.sealed === undefined ? undefined : open(secretsKey, hookId, newest.sealed)
}

function open(secretsKey: string | undefined, hookId: string, sealed: string): string {
  if (secretsKey === undefined) throw new SealError()
  return unseal(secretsKey, hookId, sealed)
}
