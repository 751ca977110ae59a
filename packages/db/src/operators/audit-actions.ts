/** Result of the row that a command writes before its first change. The row after its last change says how it ended. */
export const AUDIT_STARTED = 'started'
export const AUDIT_DELETE = 'dlq.delete'
export const AUDIT_EXPORT = 'users.export'
export const AUDIT_IMPORT = 'dlq.import'
