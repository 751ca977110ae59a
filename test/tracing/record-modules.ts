import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

/*
 * node --import=file:///…/record-modules.ts?into=<file>: appends the URL of each module that is imported or required to
 * the file.
 */
const into = new URL(import.meta.url).searchParams.get('into')
if (into === null) throw new Error('record-modules needs ?into=<file>')

registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(into, `${url}\n`)
    return nextLoad(url, context)
  },
})
