import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { beforeEach, describe, expect, test } from 'vitest'
import { listenForInterruptions } from './interruptions.ts'

describe('listenForInterruptions', () => {
  let exits: number[]
  let interrupted: number
  let process: EventEmitter & { stdout: PassThrough; stderr: PassThrough; exit(code: number): void }
  beforeEach(() => {
    exits = []
    interrupted = 0
    process = Object.assign(new EventEmitter(), {
      stdout: new PassThrough(),
      stderr: new PassThrough(),
      exit: (code: number) => void exits.push(code),
    })
  })
  const listen = () =>
    listenForInterruptions(process).onInterrupt(() => {
      interrupted++
    })
  const brokenPipe = () => Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })

  test('a signal ends the process when no command listens', () => {
    listenForInterruptions(process)
    process.emit('SIGINT')
    process.emit('SIGTERM')
    expect(exits).toEqual([130, 143])
  })

  test('a signal interrupts the command; a Ctrl-C that npm passes on counts as the same', () => {
    listen()
    process.emit('SIGINT')
    process.emit('SIGINT')
    process.emit('SIGTERM')
    expect({ exits, interrupted }).toEqual({ exits: [], interrupted: 1 })
  })

  test('a reader that went away interrupts the command, or ends the process with 0', () => {
    listenForInterruptions(process)
    process.stdout.emit('error', brokenPipe())
    expect(exits).toEqual([0])
    listen()
    process.stdout.emit('error', brokenPipe())
    expect(interrupted).toBe(1)
    process.stderr.emit('error', brokenPipe())
  })
})
