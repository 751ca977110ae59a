import { once } from 'node:events'
import { flushCompileCache } from 'node:module'
import { pathToFileURL } from 'node:url'

/*
 * Runs an app once the parent process sends its environment. The app's stores may still be starting until then.
 * Meanwhile this process loads the app's code, which takes most of a start and has no effect by itself.
 *
 *   node run-app.ts <main module> [<module to load ahead>]
 */
const [main, ahead] = process.argv.slice(2).map((path) => pathToFileURL(path).href)
if (main === undefined || process.send === undefined) throw new Error('Only spawnApp may start this')

const configured = once(process, 'message')
const giveUp = () => process.exit(1)
process.once('disconnect', giveUp)
if (ahead !== undefined) await import(ahead)
const [env] = await configured
process.off('disconnect', giveUp)
Object.assign(process.env, env)
await import(main)
// Write the compiled code now: Node would write it at the end, and stopping must be quick.
flushCompileCache()
