import { enableCompileCache } from 'node:module'

// Node keeps the compiled modules for the next time: a third of the time until a command does something.
enableCompileCache()
await import('./run.ts')
