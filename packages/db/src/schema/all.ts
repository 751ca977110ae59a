// drizzle-kit reads this file to generate migrations. Code imports the tables themselves.
export * from './erased-users.ts'
export * from './event-outbox.ts'
export * from './ingest-counters.ts'
export * from './notification-status.ts'
export * from './operator-audit.ts'
export * from './service-keys.ts'
export * from './sessions.ts'
export * from './users.ts'
