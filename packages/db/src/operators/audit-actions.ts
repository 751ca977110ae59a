/** Result of a row that announces which entries a running command is about to change. */
export const AUDIT_INTENT = 'batch'
/** Result of the first row of a command that takes a while. */
export const AUDIT_STARTED = 'started'
export const AUDIT_DELETE = 'dlq.delete'
export const AUDIT_IMPORT = 'dlq.import'
