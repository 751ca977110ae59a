import { exportUser } from '@tidings/accounts/export-user'
import { AUDIT_EXPORT } from '@tidings/db/operators/audit-actions'
import { withAudit } from '../../audit.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { assertNoFile, openExportFile } from '../../terminal/export-file.ts'
import { formatCount } from '../../terminal/format.ts'
import { escapeJson } from '../../terminal/table.ts'
import { requireUser } from './find-user.ts'

export async function runExport(context: CliContext, given: string, file: string | undefined): Promise<void> {
  const { terminal, globals } = context
  if (file === undefined && terminal.width !== undefined && !globals.showSensitive)
    throw usageError('An export shows everything in full: name a file, use a pipe, or add --show-sensitive.')
  const path = file === undefined ? undefined : context.resolvePath(file)
  if (path !== undefined) await assertNoFile(path)
  const user = await requireUser(context, given)
  const sources = {
    db: await context.database(),
    deadLetters: await context.allDeadLetters(),
    recipientKey: context.env().RECIPIENT_KEY,
  }
  await withAudit(context, { action: AUDIT_EXPORT, selector: { user_id: user.id } }, async (audit) => {
    const signal = context.interruption()
    const output = path === undefined ? undefined : await openExportFile(path)
    try {
      for await (const { text, counts } of exportUser(sources, user)) {
        audit.result = 'interrupted'
        if (signal.aborted)
          throw new CliError(
            EXIT.partial,
            'Interrupted. The export is incomplete: its last line is not the end.',
          )
        await (output?.write(text) ?? terminal.write(terminal.width === undefined ? text : escapeJson(text)))
        audit.matched = Object.values(counts).reduce((sum, count) => sum + count, 0)
      }
      audit.result = 'done'
    } finally {
      await output?.close()
    }
    const where = path === undefined ? '' : ` to ${path}`
    terminal.say(`Exported ${formatCount(audit.matched)} records${where}.`)
  })
}
