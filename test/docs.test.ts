import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PAGES = globSync(
  [
    '*.md',
    'docs/**/*.md',
    'examples/*/README.md',
    'packages/*/README.md',
    'clients/*/README.md',
    'bench/HISTORY.md',
    'packages/queue/src/bullmq/UPGRADING.md',
  ],
  { cwd: ROOT },
).sort()
const GENERATED = ['docs/tidings-manual.md', 'docs/error-codes.md']
/** Folders whose files a page may name in backticks. */
const REPOSITORY_FILE = /`((?:apps|packages|tools|chaos|bench|examples|clients|test|docs|deploy)\/[\w./-]+)`/g

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8')
const withoutCode = (page: string) => read(page).replace(/^```.*?^```$/gms, '')

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (page: string) =>
  [...withoutCode(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

describe.for(PAGES)('%s', (page) => {
  test('links to pages and headings that exist', () => {
    for (const [, link = ''] of withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      expect(existsSync(join(ROOT, target)), link).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor)
    }
  })

  test('names files that exist', () => {
    const named = [...withoutCode(page).matchAll(REPOSITORY_FILE)].map(([, path = '']) => path)
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })
})

describe('the documentation', () => {
  const decisions = PAGES.filter((page) => /^docs\/decisions\/\d/.test(page))
  const pages = PAGES.filter((page) => page.startsWith('docs/') && !decisions.includes(page))

  test('has every page in its index', () => {
    const index = read('docs/README.md')
    expect(pages.filter((page) => !index.includes(`](${page.slice('docs/'.length)})`))).toEqual([
      'docs/README.md',
    ])
  })

  test('says in the first line of each page what it answers', () => {
    for (const page of pages.filter((each) => !GENERATED.includes(each)))
      expect(read(page).split('\n')[2], page).toMatch(/^This page /)
  })

  test('numbers decisions without gaps, and lists each with its title, date and status', () => {
    const rows = decisions.map((page, index) => {
      const number = String(index + 1).padStart(4, '0')
      const file = page.slice('docs/decisions/'.length)
      const head = /^# (\d{4})\. (.+)\n\nDate: (\d{4}-\d{2}-\d{2})\. Status: (accepted|superseded by \S+)\./
      const [, numbered, title, date, status] = head.exec(read(page)) ?? []
      expect([page, numbered]).toEqual([`docs/decisions/${file}`, number])
      return `| [${number}](${file}) | ${title} | ${date} | ${status} |`
    })
    const index = read('docs/decisions/README.md').replace(/ +\|/g, ' |')
    for (const row of rows) expect(index).toContain(row)
    expect(index.match(/^\| \[\d/gm)).toHaveLength(rows.length)
  })

  test('gives each word of the glossary one meaning', () => {
    const words = [...read('docs/glossary.md').matchAll(/^\| ([a-z][\w -]*?)(?:, \w+)? +\|/gm)].map(
      ([, word]) => word,
    )
    expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([])
  })
})
