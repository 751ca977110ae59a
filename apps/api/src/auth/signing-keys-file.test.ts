import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '@tidings/runtime/log'
import { generateSigningKey, type SigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { SigningKeysFile } from './signing-keys-file.ts'

const releaser = useReleaser()
const first = generateSigningKey()
let file: string

async function writeKeys(...keys: SigningKey[]) {
  await writeFile(`${file}.new`, JSON.stringify({ keys }))
  await rename(`${file}.new`, file)
}

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tidings-signing-keys-'))
  releaser.onRelease(() => rm(directory, { recursive: true }))
  file = join(directory, 'jwt-keys.json')
})

it('finds a new key for every caller, however soon after other lookups', async () => {
  await writeKeys(first)
  const keys = await SigningKeysFile.open(file, createLogger('test', 'silent'))
  releaser.onRelease(() => keys.close())
  const asked: Promise<[key: string, isFound: boolean]>[] = []
  const ask = (kid: string, name: string) =>
    asked.push(keys.findVerifier(kid).then((key) => [name, key !== undefined]))
  for (let n = 0; n < 5; n++) {
    ask('made-up', 'made-up')
    const next = generateSigningKey()
    await writeKeys(next, first)
    ask(next.kid, 'new')
    ask(next.kid, 'new')
    await asked.at(-1)
    ask(next.kid, 'known')
  }
  for (const [name, isFound] of await Promise.all(asked))
    expect([name, isFound]).toEqual([name, name !== 'made-up'])
})

it('reads the file again at its interval', async () => {
  await writeKeys(first)
  const keys = await SigningKeysFile.open(file, createLogger('test', 'silent'), 10)
  releaser.onRelease(() => keys.close())
  const second = generateSigningKey()
  await writeKeys(second)
  await waitFor('the new key', () => keys.signer().kid === second.kid)
  expect(keys.verifier(first.kid)).toBeUndefined()
})
