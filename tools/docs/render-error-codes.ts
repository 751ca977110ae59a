import { CONNECTION_ERRORS, ERRORS, type ErrorDefinition, FIELD_CODES } from '@tidings/api/http/error-codes'
import { EXIT } from '@tidings/cli/exit-codes'
import { DEAD_LETTER_REASONS, type DeadLetterReason } from '@tidings/shared/dead-letter'

interface Explanation {
  meaning: string
  nextStep: string
}

const REASONS: Readonly<Record<DeadLetterReason, Explanation>> = {
  invalid_event: {
    meaning: 'A job on the queue holds no valid event.',
    nextStep: 'Correct the producer. Delete the entry after the producer sent the event again.',
  },
  unknown_user: {
    meaning: 'The event names a user who does not exist.',
    nextStep: 'Register or import the user, then redrive. Otherwise delete.',
  },
  unknown_notification: {
    meaning:
      'A provider named a message, and for five minutes no stored event with this provider and `provider_message_id` named a notification.',
    nextStep:
      'Let the sender put the notification into the message, or report `sent` with the id of the message. Then redrive.',
  },
  conflict: {
    meaning:
      'An event with the same id and other content is stored, or an earlier event of the notification names another user.',
    nextStep:
      'Correct the producer: one idempotency key, one content; one notification, one user. Then delete.',
  },
  retries_exhausted: {
    meaning: 'All attempts to store the event failed.',
    nextStep: 'Remove the cause that `error` names, then redrive.',
  },
  stalled: {
    meaning: 'Workers crashed or hung each time they processed the job.',
    nextStep: 'Look at the log of the worker, then redrive a canary first.',
  },
  newer_version: {
    meaning: 'A producer wrote a job in a version that the workers did not know for `UNKNOWN_VERSION_WAIT`.',
    nextStep: 'Upgrade the workers, then redrive: the job is sent back as it was.',
  },
}

const EXITS: Readonly<Record<keyof typeof EXIT, Explanation>> = {
  ok: { meaning: 'Done. An empty list and filters without a match count too.', nextStep: '–' },
  failure: { meaning: 'The command failed.', nextStep: 'Read the message on stderr.' },
  declined: {
    meaning: 'Answered no, no terminal to ask on, or read-only mode.',
    nextStep: 'In a script, add `--yes`.',
  },
  notFound: {
    meaning: 'None of the ids, no dead letter of the `--group`, or no such file.',
    nextStep: 'Check the id with `tidings dlq list`.',
  },
  partial: {
    meaning: 'Done in part: interrupted, the canary failed, or some entries were left out.',
    nextStep: 'Run the same command again: it does the rest.',
  },
  unreachable: {
    meaning: 'A store does not answer or refuses the connection.',
    nextStep: 'Check `DATABASE_URL` and `REDIS_URL`, then repeat.',
  },
  threshold: { meaning: 'A `--fail-if-…` limit was exceeded.', nextStep: 'Alert an operator.' },
  usage: { meaning: 'Wrong usage.', nextStep: 'Read `--help` of the command.' },
}

/** Renders docs/error-codes.md. */
export function renderErrorCodes(): string {
  return `# Error codes

Every code with which Tidings refuses or fails, and what to do next. \`npm run docs:errors\` writes this page; edit
its sources, not the page.

## HTTP answers

A failure is a problem document (RFC 9457). \`error\` holds the code; \`type\` is \`urn:tidings:problem:\` and the code
with hyphens. \`instance\` is the request id, which the log has too. Texts may change, codes do not.

${renderErrors(ERRORS)}

## Refused connections

These answers go to bytes that never became a request. The API closes the connection after them.

${renderErrors(CONNECTION_ERRORS)}

## Fields

\`errors\` has one item for each invalid field: a JSON pointer, a message and one of these codes.

${renderTable(
  ['Code', 'Meaning'],
  Object.entries(FIELD_CODES).map(([code, meaning]) => [`\`${code}\``, meaning]),
)}

## Reasons of dead letters

\`tidings dlq list\` shows the reason of each entry. [Dead letters](dead-letters.md) has the commands.

${renderTable(
  ['Reason', 'Meaning', 'Next step'],
  DEAD_LETTER_REASONS.map((reason) => [`\`${reason}\``, REASONS[reason].meaning, REASONS[reason].nextStep]),
)}

## Exit codes of the command line

${renderTable(
  ['Code', 'Meaning', 'Next step'],
  Object.entries(EXITS).map(([name, { meaning, nextStep }]) => [
    String(EXIT[name as keyof typeof EXIT]),
    meaning,
    nextStep,
  ]),
)}
`
}

function renderErrors(errors: Readonly<Record<string, ErrorDefinition>>): string {
  const byStatus = Object.entries(errors).sort(([, a], [, b]) => a.status - b.status)
  return renderTable(
    ['Status', 'Code', 'Meaning', 'Next step'],
    byStatus.map(([code, { status, meaning, nextStep }]) => [
      String(status),
      `\`${code}\``,
      meaning,
      nextStep,
    ]),
  )
}

/** A Markdown table with aligned columns. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  )
  const renderRow = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  return [renderRow(head), rule, ...rows.map(renderRow)].join('\n')
}
