import type { NewSuppression } from '@tidings/db/suppressions/suppressions'
import { digestRecipient } from '@tidings/shared/recipient'
import { categorySchema, isUsableTime, NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import {
  digestSchema,
  NOTE_LENGTH,
  SUPPRESSION_REASONS,
  type SuppressionReason,
} from '@tidings/shared/suppression'
import { z } from 'zod'

/** What a line says: a suppression, a reason why it is none, or what is wrong with it. Never the line's own text. */
export type LineResult =
  | { kind: 'suppression'; suppression: NewSuppression }
  | { kind: 'skipped'; message: string }
  | { kind: 'bad'; message: string }

type Cells = Readonly<Record<string, string | undefined>>
type ReadLine = (cells: Cells) => LineResult

/** How to read the lines of a file. */
export interface CsvFormat {
  name: 'tidings' | 'ses' | 'sendgrid' | 'postmark' | 'addresses'
  /** Names of the columns, in lower case without blanks and signs. */
  columns: readonly string[]
  /** The first line has no names: it is read like the others. */
  isHeaderless: boolean
  read: ReadLine
}

export interface FormatOptions {
  recipientKey: string
  /** For files that give none. */
  reason: SuppressionReason | undefined
}

/** The columns of an export by tidings. */
export const OUR_COLUMNS = [
  'channel',
  'digest',
  'category',
  'reason',
  'origin',
  'event_id',
  'note',
  'since',
  'until',
  'key',
] as const

/** Tells exports of two keys apart: digests of another key stand for nobody here. It does not reveal the key. */
export const fingerprintKey = (recipientKey: string) =>
  digestRecipient(recipientKey, 'email', 'fingerprint of the key').slice(0, 8)

const normalize = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')

/** Recognizes a file by its first line. Undefined for one that cannot be read. */
export function detectFormat(first: readonly string[], options: FormatOptions): CsvFormat | undefined {
  const columns = first.map(normalize)
  const has = (...names: string[]) => names.every((name) => columns.includes(name))
  const format = (name: CsvFormat['name'], read: ReadLine): CsvFormat => ({
    name,
    columns,
    isHeaderless: false,
    read,
  })
  if (has('channel', 'digest', 'reason')) return format('tidings', readOurs(options))
  if (has('emailaddress', 'suppressionreason')) return format('postmark', readPostmark(options))
  if (has('emailaddress', 'reason')) return format('ses', readSes(options))
  if (has('email', 'created')) return format('sendgrid', readSendGrid(options, columns))
  if (isAddress(first[0]) && /^(BOUNCE|COMPLAINT)$/i.test(first[1] ?? ''))
    return {
      ...format('ses', readSes(options)),
      columns: ['emailaddress', 'reason', 'lastupdatetime'],
      isHeaderless: true,
    }
  const column = ['email', 'emailaddress', 'address', 'recipient'].find((name) => columns.includes(name))
  if (column !== undefined) return format('addresses', readAddresses(options, column))
  if (isAddress(first[0]))
    return {
      ...format('addresses', readAddresses(options, 'email')),
      columns: ['email'],
      isHeaderless: true,
    }
  return undefined
}

/** Names the cells of a line by its columns. */
export const nameCells = (columns: readonly string[], cells: readonly string[]): Cells =>
  Object.fromEntries(columns.map((column, index) => [column, cells[index]]))

const isAddress = (text: string | undefined) =>
  text !== undefined && text.length <= 320 && /^[^\s@]+@[^\s@]+$/.test(text.trim())

const bad = (message: string): LineResult => ({ kind: 'bad', message })

/** Seconds since 1970, or ISO 8601; without a zone it is UTC. Undefined when it is neither. */
function parseTime(text: string): Date | undefined {
  const isSeconds = /^\d{9,11}(\.\d+)?$/.test(text)
  const iso = text.trim().replace(/^(\d{4}-\d\d-\d\d)[ T]?/, '$1T')
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(iso) ? iso : `${iso.replace(/T$/, 'T00:00')}Z`
  const time = new Date(isSeconds ? Number(text) * 1_000 : zoned)
  return isUsableTime(time.getTime()) ? time : undefined
}

interface ReadAddress {
  address: string | undefined
  reason: SuppressionReason | undefined
  /** Undefined when the file has no times. */
  time: string | undefined
  origin: string
}

function toSuppression({ recipientKey }: FormatOptions, line: ReadAddress): LineResult {
  const { address, reason, time, origin } = line
  if (address === undefined || !isAddress(address)) return bad('has no e-mail address')
  if (reason === undefined) return bad('has an unknown reason')
  const since = time === undefined || time === '' ? new Date() : parseTime(time)
  if (since === undefined) return bad('has a time that cannot be read')
  const digest = digestRecipient(recipientKey, 'email', address)
  return {
    kind: 'suppression',
    suppression: {
      channel: 'email',
      digest,
      category: null,
      reason,
      origin,
      event_id: null,
      note: null,
      since,
      until: null,
    },
  }
}

const SES_REASONS: Record<string, SuppressionReason> = { BOUNCE: 'bounce', COMPLAINT: 'complaint' }

const readSes =
  (options: FormatOptions): ReadLine =>
  (cells) =>
    toSuppression(options, {
      address: cells.emailaddress,
      reason: SES_REASONS[cells.reason?.toUpperCase() ?? ''],
      time: cells.lastupdatetime ?? cells.lastupdatedtime,
      origin: 'import:ses',
    })

/** SendGrid has a file for each reason, and no column that names it. A spam report has the address of the reporter. */
function readSendGrid(options: FormatOptions, columns: readonly string[]): ReadLine {
  const hasBounced = columns.includes('status') || columns.includes('reason')
  const byColumns = columns.includes('ip') ? 'complaint' : hasBounced ? 'bounce' : 'unsubscribe'
  const reason = options.reason ?? byColumns
  return (cells) => {
    // Such as 4.2.2: the mailbox was full.
    if (reason === 'bounce' && cells.status?.startsWith('4'))
      return { kind: 'skipped', message: 'is a temporary failure' }
    return toSuppression(options, {
      address: cells.email,
      reason,
      time: cells.created,
      origin: 'import:sendgrid',
    })
  }
}

const POSTMARK_REASONS: Record<string, SuppressionReason> = {
  hardbounce: 'bounce',
  spamcomplaint: 'complaint',
}

const readPostmark =
  (options: FormatOptions): ReadLine =>
  (cells) => {
    const given = normalize(cells.suppressionreason ?? '')
    // A recipient's own suppression is a click on the unsubscribe link.
    const byHand = normalize(cells.origin ?? '') === 'recipient' ? 'unsubscribe' : 'manual'
    return toSuppression(options, {
      address: cells.emailaddress,
      reason: given === 'manualsuppression' ? byHand : POSTMARK_REASONS[given],
      time: cells.createdat,
      origin: 'import:postmark',
    })
  }

const readAddresses =
  (options: FormatOptions, column: string): ReadLine =>
  (cells) =>
    toSuppression(options, {
      address: cells[column],
      reason: options.reason,
      time: undefined,
      origin: 'import',
    })

const emptyAsNull = z.string().transform((text) => (text === '' ? null : text))
const time = z.string().transform((text, context) => {
  const parsed = parseTime(text)
  if (parsed !== undefined) return parsed
  context.addIssue('cannot be read')
  return z.NEVER
})
const ourLineSchema = z.object({
  channel: z.enum(NOTIFICATION_TYPES),
  digest: digestSchema,
  category: emptyAsNull.pipe(categorySchema.nullable()),
  reason: z.enum(SUPPRESSION_REASONS),
  origin: z.string().min(1).max(255),
  eventid: emptyAsNull.pipe(z.guid().nullable()),
  note: emptyAsNull.pipe(z.string().max(NOTE_LENGTH).nullable()),
  since: time,
  until: emptyAsNull.pipe(time.nullable()),
  key: z.string(),
})

const readOurs =
  ({ recipientKey }: FormatOptions): ReadLine =>
  (cells) => {
    const read = ourLineSchema.safeParse(cells)
    if (!read.success) return bad(`has a ${String(read.error.issues[0]?.path[0])} that cannot be read`)
    const { key, eventid: event_id, ...rest } = read.data
    if (key !== fingerprintKey(recipientKey)) return bad('was exported with another RECIPIENT_KEY')
    return { kind: 'suppression', suppression: { ...rest, event_id } }
  }
