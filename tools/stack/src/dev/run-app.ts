import { once } from 'node:events'
import { flushCompileCache } from 'node:module'
import { pathToFileURL } from 'node:url'

/*
 * Runs an app once the parent sends its configuration. Its stores may still be starting until then: meanwhile
 * its code is loaded, which takes the longest and does nothing by itself.
 *
 *   node run-app.ts <main module> [<module to load ahead>]
 */
const [main, ahead] = process.argv.slice(2).map((path) => pathToFileURL(path).href)
if (main === undefined || process.send === undefined) throw new Error('This is started by spawnApp only')

const configured = once(process, 'message')
const giveUp = () => process.exit(1)
process.once('disconnect', giveUp)
if (ahead !== undefined) await import(ahead)
const [env] = await configured
process.off('disconnect', giveUp)
Object.assign(process.env, env)
await import(main)
// Where compiled code is kept, it is written now and not at the end, which should be quick.
flushCompileCache()
