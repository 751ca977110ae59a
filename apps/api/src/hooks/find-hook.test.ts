import { finishRotation, revokeHook, startRotation } from '@tidings/db/operators/hooks'
import { createLogger } from '@tidings/runtime/log'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { HOOK_VARIABLES, makeHook } from '../testing/test-hooks.ts'
import { HookFinder } from './find-hook.ts'

const AUDIT = { actor: 'test', action: 'hooks.test', selector: {}, matched: 1, changed: 1, result: 'done' }

describe('finding a hook', () => {
  const releaser = useReleaser()
  let test: TestDatabase
  beforeAll(async () => {
    test = await createTestDatabase(releaser)
  })

  /** Opens a finder whose clock the test moves. */
  function open() {
    let nowMs = 0
    const log = createLogger('api-test', 'silent')
    const secretsKey = HOOK_VARIABLES.HOOK_SECRETS_KEY
    const finder = new HookFinder({ db: test.database, log, secretsKey, now: () => nowMs })
    releaser.onRelease(() => finder.close())
    return {
      finder,
      passMs(ms: number) {
        nowMs += ms
      },
    }
  }

  it('opens its secrets', async () => {
    const { id, name, secret } = await makeHook(test.database, 'resend')
    const { finder } = open()
    expect(await finder.find('resend', id)).toEqual({
      id,
      name,
      provider: 'resend',
      credentials: { secrets: [secret], topicArns: [] },
    })
    await expect(finder.find('mailgun', id)).rejects.toMatchObject({ code: 'not_found' })
    await expect(finder.find('resend', `${id}0`)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('knows a revoked hook for 30 seconds at most', async () => {
    const { id } = await makeHook(test.database, 'postmark')
    const { finder, passMs } = open()
    await finder.find('postmark', id)
    await revokeHook(test.database, id, AUDIT)
    passMs(30_000)
    await expect(finder.find('postmark', id)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('knows a new key beside the old one within 30 seconds, and the new one alone at the end', async () => {
    const { id } = await makeHook(test.database, 'sendgrid')
    const { finder, passMs } = open()
    const secrets = async () => (await finder.find('sendgrid', id)).credentials.secrets
    const [old] = await secrets()
    await startRotation(test.database, id, { publicKey: 'new' }, AUDIT)
    passMs(30_000)
    expect(await secrets()).toEqual(['new', old])
    expect(await startRotation(test.database, id, { publicKey: 'newer' }, AUDIT)).toBe('not_finished')
    await finishRotation(test.database, id, AUDIT)
    passMs(30_000)
    expect(await secrets()).toEqual(['new'])
  })

  it('asks to send again when its secrets cannot be read, and needs no key for public keys', async () => {
    const sealed = await makeHook(test.database, 'twilio')
    const keyed = await makeHook(test.database, 'sendgrid')
    for (const key of [undefined, 'another key of the secrets of hooks']) {
      const finder = new HookFinder({
        db: test.database,
        log: createLogger('api-test', 'silent'),
        secretsKey: key,
      })
      releaser.onRelease(() => finder.close())
      await expect(finder.find('twilio', sealed.id)).rejects.toMatchObject({ code: 'unavailable' })
      await expect(finder.find('sendgrid', keyed.id)).resolves.toMatchObject({ id: keyed.id })
    }
  })

  it('stores when a hook was last used', async () => {
    const { id } = await makeHook(test.database, 'ses')
    const { finder } = open()
    finder.noteUse(await finder.find('ses', id))
    await finder.close()
    const { rows } = await test.database.pool.query('SELECT last_used_at FROM hooks WHERE id = $1', [id])
    expect(rows[0].last_used_at).toBeInstanceOf(Date)
  })
})
