import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { useReleaser } from '../testing/test-context.ts'
import { findPreviousDatabase } from './previous-database.ts'

const releaser = useReleaser()

test('which database a folder had is known from what the start before wrote', async () => {
  const dataDir = releaser.add(await mkdtemp(join(tmpdir(), 'tidings-database-')), (path) =>
    rm(path, { recursive: true }),
  )
  expect(await findPreviousDatabase(dataDir, {})).toBeUndefined()
  const DATABASE_URL = 'postgres://ada:secret@db.example.com/tidings'
  expect(await findPreviousDatabase(dataDir, { DATABASE_URL })).toBe('given')
  expect(await findPreviousDatabase(dataDir, { DATABASE_URL }, DATABASE_URL.replace('secret', 'new'))).toBe(
    'given',
  )
  expect(await findPreviousDatabase(dataDir, { DATABASE_URL }, `${DATABASE_URL}2`)).toBe('other')

  await mkdir(join(dataDir, 'postgres'))
  await writeFile(join(dataDir, 'postgres/password'), 'own-password')
  expect(await findPreviousDatabase(dataDir, { DATABASE_URL })).toBe('given')
  const ownUrl = 'postgres://tidings:own-password@127.0.0.1:23456/tidings'
  expect(await findPreviousDatabase(dataDir, { DATABASE_URL: ownUrl })).toBe('embedded')
})
