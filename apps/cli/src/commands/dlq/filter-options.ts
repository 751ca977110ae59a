import { type DeadLetterFilter, isEmptyFilter } from '@tidings/queue/dead-letters/filter'
import { DEAD_LETTER_REASONS, deadLetterReasonSchema } from '@tidings/shared/dead-letter'
import { NOTIFICATION_TYPES, STATUSES } from '@tidings/shared/status-event'
import { type Command, Option } from 'commander'
import { parseCount, parseText, parseTime } from '../../input/parse-option.ts'

const HEADING = 'Filters (all given ones must hold):'

/** Adds the filters that the dlq commands share. */
export function addFilterOptions(command: Command): Command {
  const add = (flags: string, text: string, parse: (value: string) => unknown = parseText) =>
    command.addOption(new Option(flags, text).helpGroup(HEADING).argParser(parse))
  command.addOption(
    new Option('--type <type>', 'notification type').choices(NOTIFICATION_TYPES).helpGroup(HEADING),
  )
  command.addOption(
    new Option('--status <status>', 'status the event reports').choices(STATUSES).helpGroup(HEADING),
  )
  command.addOption(
    new Option('--reason <reason>', 'why it was dead-lettered')
      .choices(DEAD_LETTER_REASONS)
      .helpGroup(HEADING),
  )
  add('--notification-id <id>', 'the notification')
  add('--user-id <uuid>', 'the recipient')
  add('--source <name>', 'the service key that reported it')
  add('--error <substring>', "part of the error's code or message, in any case")
  add('--fingerprint <hex>', 'the error group, see dlq groups')
  add('--since <time>', 'dead-lettered at or after: RFC 3339, or a time ago (2h, 7d)', parseTime)
  add('--until <time>', 'dead-lettered before: RFC 3339, or a time ago', parseTime)
  add('--redriven-gte <n>', 'redriven at least n times', parseCount(0))
  return command
}

/** The parsed values of the options above. */
export interface FilterOptions {
  type?: string
  status?: string
  reason?: string
  notificationId?: string
  userId?: string
  source?: string
  error?: string
  fingerprint?: string
  since?: Date
  until?: Date
  redrivenGte?: number
}

export function toFilter(options: FilterOptions): DeadLetterFilter {
  const { type, status, reason, notificationId, userId, source, error, fingerprint } = options
  const { since, until, redrivenGte } = options
  return {
    type,
    status,
    reason: reason === undefined ? undefined : deadLetterReasonSchema.parse(reason),
    notificationId,
    userId,
    source,
    error,
    fingerprint,
    since,
    until,
    redrivenGte,
  }
}

/** The message of a command that has no entries to show. */
export const describeNone = (filter: DeadLetterFilter) =>
  isEmptyFilter(filter) ? 'No dead letters.' : 'No dead letter matches.'
