import { describe, expect, it } from 'vitest'
import { createLifecycle } from './lifecycle.ts'
import { createLogger } from './log.ts'

describe('a lifecycle', () => {
  it('releases in reverse order and waits for each release as long as its deadline', async () => {
    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    const released: string[] = []
    const finish = Promise.withResolvers<void>()
    lifecycle.onRelease('first', () => {
      released.push('first')
      finish.resolve()
    })
    lifecycle.onRelease('too slow', () => finish.promise.then(() => void released.push('too slow')), 1)
    lifecycle.onRelease('in time', async () => void released.push('in time'), 1_000)
    await lifecycle.release()
    await finish.promise
    expect(released).toEqual(['in time', 'first', 'too slow'])
  })
})
