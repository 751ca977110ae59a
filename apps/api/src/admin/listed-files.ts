import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Handler } from 'hono'

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
}

interface ListedFilesOptions {
  root?: string
  rewriteRequestPath?(path: string): string
}

/**
 * Serves the files that exist below `root` when this is called, by exact name. A request's path is only looked up in
 * that list and never becomes a path on the disk.
 */
export function serveListedFiles({ root = '.', rewriteRequestPath }: ListedFilesOptions): Handler {
  const names = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const files = new Map(names.map((name) => [`/${name.slice(join(root, '/').length)}`, name]))
  return async (c, next) => {
    const path = rewriteRequestPath?.(c.req.path) ?? c.req.path
    const file = files.get(path)
    if (file === undefined) return next()
    return c.body(readFileSync(file), 200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'cache-control': 'private, max-age=3600',
    })
  }
}
