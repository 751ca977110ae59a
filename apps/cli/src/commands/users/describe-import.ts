import { PASSWORD_ALGORITHMS } from '@tidings/shared/password-hash'
import type { ImportReport } from '../../django/report.ts'
import { printable } from '../../terminal/table.ts'

/** What is counted, how often, and a note for counts above zero. */
type Line = [label: string, count: number, note?: string]

/** The report as text: one line a count, then one a conflict and one an invalid row. */
export function describeImport(report: ImportReport): string {
  const { users, preferences, notification_status_logs: logs } = report
  const done = report.dry_run ? 'would be imported' : 'imported'
  const unusable = users.unusable_password_reasons
  const lines: Line[] = [
    ['users found', users.found],
    [`  ${done}`, users.imported],
    [
      `  ${report.dry_run ? 'would be updated' : 'updated'}`,
      users.updated,
      'changed since they were imported',
    ],
    ['  already here', users.already_there],
    ['  addresses that differ only by case', users.case_duplicates, 'none of these is imported'],
    ['  erased here', users.erased, 'they are not imported again'],
    ['  address belongs to another user here', users.email_taken],
    [
      `  accounts here ${report.dry_run ? 'would be erased' : 'erased'}`,
      users.replaced,
      'they never proved the address of an imported user',
    ],
    ['  push token belongs to another user', users.push_token_conflicts, 'who changed or was seen later'],
    ['  not valid', users.invalid],
    ['  inactive', users.inactive, 'they cannot log in'],
    ['  staff', users.staff, 'imported as ordinary users'],
    ...PASSWORD_ALGORITHMS.map(
      (name): Line => [`  password hashed with ${name}`, users.password_algorithms[name]],
    ),
    ['  without a usable password', users.unusable_passwords, 'they cannot log in until one is set'],
    ['    never set', unusable.not_set, 'Django marks it with !'],
    ['    of an algorithm that is not supported', unusable.unsupported],
    ['    damaged', unusable.damaged],
    ['    too expensive to verify', unusable.over_limit],
    ['preferences found', preferences.found],
    ['  not valid', preferences.invalid],
    ['status log found', logs.found],
    [`  ${done}`, logs.imported],
    ['  already here', logs.already_there],
    ['  of users who do not exist here', logs.unknown_user],
    ['  not valid', logs.invalid],
    [
      'strongest hash, in iterations of PBKDF2',
      users.max_iterations,
      'set PASSWORD_ITERATIONS to at least this',
    ],
  ]
  const text = lines
    .filter(([label, count]) => count > 0 || !label.startsWith('  '))
    .map(([label, count, note]) => `${label}: ${count}${note && count > 0 ? ` (${note})` : ''}`)
  const conflicts = report.conflicts.map(({ kind, id, email }) => [kind, id, email])
  const invalid = report.invalid.map(({ table, id, why }) => [`invalid ${table}`, id, why])
  const rows = [...conflicts, ...invalid].map((cells) => cells.map(printable).join('\t'))
  return [...text, ...rows].join('\n')
}
