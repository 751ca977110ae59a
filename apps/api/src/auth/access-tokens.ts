import { AppError } from '@tidings/shared/errors'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { CLOCK_LEEWAY_SECONDS } from './clock-leeway.ts'
import type { SigningKeys } from './signing-keys.ts'

/** The claims of an access token whose signature and times were checked. */
export interface AccessClaims {
  userId: string
  /** Null for a token of the Django service, which has no sessions. */
  sessionId: string | null
  /** Seconds since the epoch. */
  issuedAt: number
  /** Seconds since the epoch. */
  expiresAt: number
}

export interface AccessTokens {
  issue(userId: string, sessionId: string): Promise<{ token: string; expiresInSeconds: number }>
  /** @throws AppError `unauthorized` for anything but a live token of this service or of the Django service. */
  verify(token: string): AccessClaims | Promise<AccessClaims>
}

export interface AccessTokenOptions {
  keys: SigningKeys
  issuer: string
  audience: string
  ttlSeconds: number
  /** Shared secret of the Django service. Undefined: its tokens are refused. */
  legacySecret?: string | undefined
}

/** Lifetime of the Django service's tokens. They carry `exp`, and `iat` only after a change of that service. */
const LEGACY_TTL_SECONDS = 7 * 86_400
const MAX_VERIFIED_TOKENS = 20_000

/** Headers that change where the key comes from or how the token is read. Own tokens need only `kid`. */
const REFUSED_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip']

type VerifiedToken = AccessClaims & { kid: string | undefined }

const claimsSchema = z.object({
  sub: z.guid(),
  sid: z.guid(),
  jti: z.string(),
  iat: z.number(),
  exp: z.number(),
})
/** A token of the same secret for another purpose, such as a refresh token, names its type. */
const accessType = z.literal('access').optional()
const legacyClaimsSchema = z.object({
  user_id: z.guid(),
  exp: z.number(),
  iat: z.number().optional(),
  token_type: accessType,
  type: accessType,
  typ: accessType,
  purpose: accessType,
})
const legacyTypeSchema = z.string().regex(/^jwt$/i).optional()

/**
 * Issues and verifies access tokens (RFC 9068), signed with the first signing key. A verified token stays in memory until it
 * expires: verifying a signature costs more than the rest of a read.
 */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { keys, issuer, audience, ttlSeconds, legacySecret } = options
  const legacyKey = legacySecret === undefined ? undefined : new TextEncoder().encode(legacySecret)
  const verified = new LRUCache<string, VerifiedToken>({ max: MAX_VERIFIED_TOKENS })

  async function verifyOnce(token: string): Promise<AccessClaims> {
    try {
      const header = decodeProtectedHeader(token)
      if (REFUSED_HEADERS.some((name) => name in header)) throw refused()
      const isLegacy = legacyKey !== undefined && header.alg === 'HS256'
      const kid = isLegacy ? undefined : header.kid
      const claims = isLegacy ? await verifyLegacy(token, legacyKey) : await verifyOwn(token, kid)
      verified.set(token, { ...claims, kid })
      return claims
    } catch {
      // One refusal for every cause: the reason would help a forger.
      throw refused()
    }
  }

  async function verifyOwn(token: string, kid: string | undefined): Promise<AccessClaims> {
    const pinned = kid === undefined ? undefined : await keys.findVerifier(kid)
    if (pinned === undefined) throw refused()
    const { payload } = await jwtVerify(token, pinned.key, {
      // The key decides the algorithm. The header must name the same one.
      algorithms: [pinned.alg],
      typ: 'at+jwt',
      issuer,
      audience,
      clockTolerance: CLOCK_LEEWAY_SECONDS,
    })
    const { sub, sid, iat, exp } = claimsSchema.parse(payload)
    if (isIssuedLater(iat)) throw refused()
    return { userId: sub, sessionId: sid, issuedAt: iat, expiresAt: exp }
  }

  async function verifyLegacy(token: string, secret: Uint8Array): Promise<AccessClaims> {
    // The secret is used for HMAC only, and a public key never is: a token cannot choose another algorithm.
    const { payload, protectedHeader } = await jwtVerify(token, secret, {
      algorithms: ['HS256'],
      clockTolerance: CLOCK_LEEWAY_SECONDS,
    })
    legacyTypeSchema.parse(protectedHeader.typ)
    const { user_id, exp, iat } = legacyClaimsSchema.parse(payload)
    const issuedAt = iat ?? exp - LEGACY_TTL_SECONDS
    // A token that says it was issued later, or lives longer, would outlive a logout.
    if (isIssuedLater(issuedAt) || exp - issuedAt > LEGACY_TTL_SECONDS) throw refused()
    return { userId: user_id.toLowerCase(), sessionId: null, issuedAt, expiresAt: exp }
  }

  /** As at the first check. A key that leaves the set ends its tokens, also those verified earlier. */
  function isLive({ kid, expiresAt }: VerifiedToken): boolean {
    const endsAtMs = (expiresAt + CLOCK_LEEWAY_SECONDS) * 1000
    return endsAtMs > Date.now() && (kid === undefined || keys.verifier(kid) !== undefined)
  }

  return {
    async issue(userId, sessionId) {
      const { kid, alg, key } = keys.signer()
      const token = await new SignJWT({ sid: sessionId, user_id: userId })
        .setProtectedHeader({ alg, typ: 'at+jwt', kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(userId)
        .setJti(uuidv7())
        .setIssuedAt()
        .setExpirationTime(`${ttlSeconds}s`)
        .sign(key)
      return { token, expiresInSeconds: ttlSeconds }
    },

    verify(token) {
      // The token itself is the key of the map, as in service-keys.ts.
      const known = verified.get(token)
      return known !== undefined && isLive(known) ? known : verifyOnce(token)
    },
  }
}

/** @param issuedAt in seconds since the epoch. */
const isIssuedLater = (issuedAt: number) => issuedAt > Date.now() / 1000 + CLOCK_LEEWAY_SECONDS

const refused = () => new AppError('unauthorized', 'The access token is not valid.')
