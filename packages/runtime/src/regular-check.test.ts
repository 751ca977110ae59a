import { waitFor } from '@tidings/stack/servers/wait-for'
import { expect, it } from 'vitest'
import { RegularCheck } from './regular-check.ts'

it('is not ok before the first success, while a check fails, and while one hangs', async () => {
  let answer: () => Promise<unknown> = () => Promise.reject(new Error('away'))
  const failures: unknown[] = []
  const check = new RegularCheck({
    check: () => answer(),
    intervalMs: 5,
    limitMs: 20,
    onFailure: (error) => void failures.push(error),
  })
  const poll = { intervalMs: 1 }
  await waitFor('a failure', () => failures.length > 1, poll)
  expect(check.isOk).toBe(false)
  answer = async () => undefined
  await waitFor('a success', () => check.isOk, poll)
  let release = () => {}
  answer = () =>
    new Promise<void>((resolve) => {
      release = resolve
    })
  await waitFor('the limit to pass', () => !check.isOk, poll)
  release()
  await waitFor('the late success', () => check.isOk, poll)
  check.close()
})
