// What drizzle-kit reads to generate migrations. Code imports the table it needs.
export * from './erased-users.ts'
export * from './event-outbox.ts'
export * from './ingest-counters.ts'
export * from './notification-status.ts'
export * from './operator-audit.ts'
export * from './service-keys.ts'
export * from './sessions.ts'
export * from './users.ts'
