import { envFields, httpUrl, MAX_QUEUE_SHARDS } from '@tidings/runtime/env'
import { PARSE_OPTIONS } from '@tidings/shared/issue-message'
import { LIMITS } from '@tidings/shared/status-event'
import { z } from 'zod'
import { invalid } from './errors.ts'

const milliseconds = z.int().min(1).max(LIMITS.int)

const apiSchema = z.object({
  /** Base URL of the API. */
  url: httpUrl('https://tidings.example.com').refine(
    (url) => new URL(url).username === '',
    'must not hold a user: the service key goes into `key`',
  ),
  /** A service key with the scope `status:write:email` or `status:write:push`. */
  key: z.string().regex(/^[\x21-\x7e]+$/, 'needs a service key'),
  /** How long an event is tried, in milliseconds. */
  deadlineMs: milliseconds.default(30_000),
  /** Time limit of one request, in milliseconds. */
  requestTimeoutMs: milliseconds.default(10_000),
})

const queueSchema = z.object({
  /** URL of the Redis that holds the queue. */
  url: envFields.REDIS_URL.unwrap(),
  /** QUEUE_PREFIX of the installation. */
  prefix: envFields.QUEUE_PREFIX,
  /** QUEUE_SHARDS of the installation. */
  shards: z.int().min(1).max(MAX_QUEUE_SHARDS).default(1),
  /**
   * The name of this producer in the stored events; `queue` when absent. With `api` it must be the name of the service
   * key: an event is known by its source and its `event_id`, and would otherwise be stored once for each way.
   */
  source: z.string().min(1).max(LIMITS.notificationIdLength).optional(),
})

const optionsSchema = z
  .object({
    api: apiSchema.optional(),
    queue: queueSchema.optional(),
    /** Most events on their way at once. Further ones are rejected as `overloaded`. */
    maxPending: z.int().min(1).default(10_000),
  })
  .refine(({ api, queue }) => api !== undefined || queue !== undefined, {
    path: ['api'],
    error: 'Give `api`, `queue` or both.',
  })
  .refine(({ api, queue }) => api === undefined || queue === undefined || queue.source !== undefined, {
    path: ['queue', 'source'],
    error: 'With `api`, give the name of the service key.',
  })

export type ApiOptions = z.input<typeof apiSchema>
export type QueueOptions = z.input<typeof queueSchema>
export type ApiSettings = z.output<typeof apiSchema>
export type QueueSettings = z.output<typeof queueSchema>

/** Over which way events go. With both, over the queue, and over the API while Redis is away. */
export type ProducerOptions = { maxPending?: number } & (
  | { api: ApiOptions; queue?: undefined }
  | { queue: QueueOptions; api?: undefined }
  | { queue: QueueOptions & { source: string }; api: ApiOptions }
)

/** @throws ProducerError `invalid_options`, which shows no values. */
export function readOptions(options: ProducerOptions): z.output<typeof optionsSchema> {
  const parsed = optionsSchema.safeParse(options, PARSE_OPTIONS)
  if (parsed.success) return parsed.data
  throw invalid(
    'invalid_options',
    parsed.error.issues.map(({ path, code, message }) => ({ pointer: `/${path.join('/')}`, code, message })),
  )
}
