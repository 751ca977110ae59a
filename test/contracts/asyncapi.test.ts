import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import {
  DEAD_LETTER_JOB,
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  OUTBOUND_JOB,
  OUTBOUND_QUEUE,
  STATUS_QUEUE,
} from '@tidings/queue/policy'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const require = createRequire(import.meta.url)
const DOCS = new URL('../../docs/', import.meta.url)

const referenceSchema = z.object({ $ref: z.string() })
const jobSchema = z.object({ name: z.string(), 'x-bullmq': z.object({ jobName: z.string() }) })
/** The document with its references replaced. */
const resolvedSchema = z.object({
  channels: z.record(
    z.string(),
    z.object({ address: z.string(), messages: z.record(z.string(), jobSchema) }),
  ),
  operations: z.record(
    z.string(),
    z.object({ channel: z.object({ address: z.string() }), messages: z.array(jobSchema) }),
  ),
})

/** Replaces every reference by what it points to, in the document or in a file beside it. */
async function resolve(part: unknown, root: unknown): Promise<unknown> {
  if (Array.isArray(part)) return Promise.all(part.map((item) => resolve(item, root)))
  if (typeof part !== 'object' || part === null) return part
  const reference = referenceSchema.safeParse(part)
  if (reference.success) {
    const [file = '', pointer = ''] = reference.data.$ref.split('#')
    const target = file === '' ? root : JSON.parse(await readFile(new URL(file, DOCS), 'utf8'))
    return resolve(at(target, pointer), target)
  }
  const members = Object.entries(part).map(
    async ([name, value]) => [name, await resolve(value, root)] as const,
  )
  return Object.fromEntries(await Promise.all(members))
}

function at(root: unknown, pointer: string): unknown {
  let value = root
  for (const name of pointer.split('/').slice(1)) {
    const members = z.record(z.string(), z.unknown()).parse(value)
    if (!(name in members)) throw new Error(`Nothing is at ${pointer}`)
    value = members[name]
  }
  return value
}

describe('docs/asyncapi.yaml', () => {
  let document: unknown
  let resolved: unknown
  beforeAll(async () => {
    document = parse(await readFile(new URL('asyncapi.yaml', DOCS), 'utf8'))
    resolved = await resolve(document, document)
  })

  // The official JSON Schema, not @asyncapi/parser: that brings 130 packages. Version 3.6.6 of it accepts the document.
  test('is valid AsyncAPI 3, also with the references to its files replaced', () => {
    const ajv = new Ajv({ strict: false, meta: false, validateSchema: false })
    addFormats.default(ajv)
    const validate = ajv.compile(require('@asyncapi/specs/schemas/3.0.0.json'))
    const { operations } = z.object({ operations: z.unknown() }).parse(document)
    // The standard wants references in operations.
    for (const each of [document, { ...Object(resolved), operations }]) {
      validate(each)
      expect(validate.errors).toBeNull()
    }
    expect(validate(resolved)).toBe(false)
  })

  test('names the queues and jobs of the code', () => {
    const { channels } = resolvedSchema.parse(resolved)
    const found = Object.values(channels).map(({ address, messages }) => [
      address,
      Object.values(messages).map((message) => message['x-bullmq'].jobName),
    ])
    expect(found).toEqual([
      [STATUS_QUEUE, [ENVELOPE_JOB, ENVELOPE_JOB]],
      [DEAD_LETTER_QUEUE, [DEAD_LETTER_JOB]],
      [OUTBOUND_QUEUE, [OUTBOUND_JOB]],
    ])
  })

  test('has an operation for every message of every channel', () => {
    const { channels, operations } = resolvedSchema.parse(resolved)
    const named = (address: string, messages: z.infer<typeof jobSchema>[]) =>
      messages.map(({ name }) => `${address} ${name}`)
    expect(
      Object.values(operations).flatMap(({ channel, messages }) => named(channel.address, messages)),
    ).toEqual(
      Object.values(channels).flatMap(({ address, messages }) => named(address, Object.values(messages))),
    )
  })
})
