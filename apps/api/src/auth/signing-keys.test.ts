import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '@tidings/runtime/log'
import { generateSigningKey, type SigningKey } from '@tidings/shared/signing-keys'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { watchSigningKeysFile } from './signing-keys.ts'

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

it('a new key is found by everybody who asks for it, however soon after others asked', async () => {
  await writeKeys(first)
  const { keys, close } = await watchSigningKeysFile(file, createLogger('test', 'silent'))
  releaser.onRelease(close)
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
