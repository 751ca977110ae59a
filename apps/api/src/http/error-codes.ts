import { REFUSAL_STATUSES } from '@tidings/runtime/broken-request'
import type { ErrorCode } from '@tidings/shared/errors'

/** One row of docs/error-codes.md, which `npm run docs:errors` generates from this file. */
export interface ErrorDefinition {
  /** HTTP status. */
  status: number
  /** `title` of the problem document. */
  title: string
  /** When the API answers with this code. */
  meaning: string
  /** What a client should do next. */
  nextStep: string
}

/** Every refusal of a request that reached a route. The only place that maps a domain error to an HTTP status. */
export const ERRORS = {
  malformed_json: {
    status: 400,
    title: 'Malformed JSON',
    meaning: 'The body is missing, ended early or is not JSON.',
    nextStep: 'Correct the request; a repeat gives the same answer.',
  },
  invalid_encoding: {
    status: 400,
    title: 'Invalid encoding',
    meaning: 'The body is not valid UTF-8.',
    nextStep: 'Encode the body as UTF-8.',
  },
  validation_failed: {
    status: 400,
    title: 'Validation failed',
    meaning: 'A field, query parameter or header is not valid. `errors` lists each field.',
    nextStep: 'Correct the fields that `errors` names.',
  },
  invalid_status: {
    status: 400,
    title: 'Invalid status',
    meaning: '`status` is the only invalid field: it is not a known status.',
    nextStep: 'Send one of the statuses that the message lists.',
  },
  invalid_notification_type: {
    status: 400,
    title: 'Invalid notification type',
    meaning: 'The path names a notification type that does not exist.',
    nextStep: 'Use /api/v1/email/status/ or /api/v1/push/status/.',
  },
  missing_error: {
    status: 400,
    title: 'Missing error',
    meaning: 'The status is `failed` or `bounced` and the event has no `error`.',
    nextStep: "Send the provider's error with the event.",
  },
  invalid_token: {
    status: 400,
    title: 'Invalid token',
    meaning:
      'The token of a link is unknown, used, void, expired, incomplete, or made for another purpose. The answer is the same for all.',
    nextStep: 'Ask for a new link. A link is used up when it works, or when a newer one does.',
  },
  unauthorized: {
    status: 401,
    title: 'Unauthorized',
    meaning: 'The credential or the signature is missing, malformed, expired or revoked.',
    nextStep: 'Refresh the access token or log in again; a service needs a valid key.',
  },
  invalid_credentials: {
    status: 401,
    title: 'Invalid credentials',
    meaning: 'E-mail or password is wrong. The answer is the same whether or not the e-mail exists.',
    nextStep: 'Ask the user for the password again.',
  },
  forbidden: {
    status: 403,
    title: 'Forbidden',
    meaning: 'The credential is valid, but is of the wrong kind or lacks the scope.',
    nextStep: 'Use a service key with the scope that the message names, or a user token.',
  },
  reauthentication_required: {
    status: 403,
    title: 'Reauthentication required',
    meaning: 'The request needs the password in its body, or a login within the last five minutes.',
    nextStep: 'Ask the user for the password and send it as `password`, or log in again.',
  },
  email_not_verified: {
    status: 403,
    title: 'E-mail not verified',
    meaning: 'REQUIRE_VERIFIED_EMAIL is on, and the user has not verified the e-mail address.',
    nextStep: 'Ask the user to open the link in their mail. A login with the right password sends it again.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    meaning: 'The resource does not exist, or the caller may not see it.',
    nextStep: 'Check the path and the id.',
  },
  method_not_allowed: {
    status: 405,
    title: 'Method not allowed',
    meaning: 'The resource exists without this method.',
    nextStep: 'Use a method from the `Allow` header.',
  },
  conflict: {
    status: 409,
    title: 'Conflict',
    meaning:
      'The idempotency key was used before with other content, or the resource changed during the request.',
    nextStep: 'Send new content under a new key; after a concurrent change, read the resource and try again.',
  },
  email_taken: {
    status: 409,
    title: 'E-mail taken',
    meaning: 'Another account has this e-mail address.',
    nextStep: 'Log in, or register another address.',
  },
  payload_too_large: {
    status: REFUSAL_STATUSES.payload_too_large,
    title: 'Payload too large',
    meaning:
      'The body is over 64 KB, or over 1 MB for a batch or a hook, or its chunk extensions are too large.',
    nextStep: 'Send smaller events or smaller batches.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Unsupported media type',
    meaning: 'The content type is not JSON, or the body is compressed.',
    nextStep: 'Send uncompressed JSON as application/json.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    meaning:
      'Too many attempts came from this address or for this account, or more events than the service key may report.',
    nextStep: 'Wait for the seconds in `Retry-After`, then repeat the request.',
  },
  overloaded: {
    status: 503,
    title: 'Overloaded',
    meaning: 'The queue is full, or too many logins are being processed. Nothing was accepted.',
    nextStep: 'Wait for the seconds in `Retry-After`, then repeat the request with the same idempotency key.',
  },
  unavailable: {
    status: 503,
    title: 'Unavailable',
    meaning: 'A store did not answer in time, or a concurrent transaction blocked this one.',
    nextStep: 'Wait for the seconds in `Retry-After`, then repeat the request with the same idempotency key.',
  },
  internal_error: {
    status: 500,
    title: 'Internal error',
    meaning: 'The service failed in a way it does not expect. The log has the details under the request id.',
    nextStep: 'Report the request id (`instance`) to the operator.',
  },
} as const satisfies Record<ErrorCode, ErrorDefinition>

/** Refusals of bytes that do not become a request. The connection is closed after each of them. */
export const CONNECTION_ERRORS = {
  bad_request: {
    status: REFUSAL_STATUSES.bad_request,
    title: 'Bad request',
    meaning: 'The bytes are not valid HTTP, or the request target or Host is not valid or ambiguous.',
    nextStep: 'Correct the client or the proxy between.',
  },
  request_timeout: {
    status: REFUSAL_STATUSES.request_timeout,
    title: 'Request timeout',
    meaning: 'The headers took over 10 s to arrive, or the whole request over 15 s.',
    nextStep: 'Repeat the request on a new connection.',
  },
  expectation_failed: {
    status: REFUSAL_STATUSES.expectation_failed,
    title: 'Expectation failed',
    meaning: 'The `Expect` header asks for anything but `100-continue`.',
    nextStep: 'Leave out the `Expect` header.',
  },
  headers_too_large: {
    status: REFUSAL_STATUSES.headers_too_large,
    title: 'Request header fields too large',
    meaning: 'The headers are over 16 KB.',
    nextStep: 'Send smaller headers.',
  },
} as const satisfies Record<string, ErrorDefinition>

export type ConnectionErrorCode = keyof typeof CONNECTION_ERRORS

const ALL: Readonly<Record<ErrorCode | ConnectionErrorCode, ErrorDefinition>> = {
  ...ERRORS,
  ...CONNECTION_ERRORS,
}

export const definitionOf = (code: ErrorCode | ConnectionErrorCode): ErrorDefinition => ALL[code]

/** Values of `errors[].code`. A schema's own checks give the code of the failed check. */
export const FIELD_CODES = {
  required: 'The field is missing.',
  invalid_type: 'The value has another JSON type.',
  invalid_value: 'The value is not one of the allowed values.',
  invalid_format: 'The text does not have the required form, such as a UUID, an e-mail address or a time.',
  invalid_union: 'The value has none of the allowed shapes.',
  too_small: 'The value, text or list is below its minimum.',
  too_big: 'The value, text or list is above its maximum.',
  unrecognized_keys: 'The object has unknown fields, which this route does not allow.',
  invalid: 'The value breaks a rule that the message states.',
  missing_error: 'The status requires `error`.',
  invalid_cursor: 'The cursor is not a `next_cursor` of an earlier answer.',
  wrong_password: 'The password of the account is wrong.',
  common_password: 'The password is a common one, with at most four digits or signs around it.',
  repetitive_password:
    'The password has fewer than five different characters, or is a sequence such as `87654321`.',
  password_is_identity:
    'The password is a part of the name or the e-mail address, with at most four digits or signs around it.',
  email_taken: 'Another account has this e-mail address.',
  same_email: 'The account has this e-mail address already.',
  forbidden_character: 'The text has a control character, a line break or a direction override.',
  not_visible: 'The text has no visible character.',
  nul_character: 'A text or key holds the NUL character.',
  lone_surrogate: 'A text or key is not valid Unicode.',
  forbidden_key: 'An object has the key `__proto__`, `constructor` or `prototype`.',
  too_deep: 'Objects and lists are nested over 32 levels deep.',
  number_out_of_range: 'A number is too large for JSON parsers.',
} as const
