import { enableCompileCache } from 'node:module'

// Node keeps the compiled modules for the next start: it saves a third of the time until a command runs. Only modules
// that are loaded after this call are kept, therefore all others are imported dynamically.
enableCompileCache()
const { listenForInterruptions } = await import('./interruptions.ts')
const { wantsColors } = await import('./env.ts')
const { runProgram } = await import('./run-program.ts')
const { createTerminal } = await import('./terminal/terminal.ts')

const interruptions = listenForInterruptions(process)
const args = process.argv.slice(2)
const colors = wantsColors(process.env, args)
// The libraries that draw questions read this variable only.
if (!colors) process.env.NO_COLOR = '1'
process.exit(await runProgram(args, createTerminal(process, colors), process.env, interruptions))
