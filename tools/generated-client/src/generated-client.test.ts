import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startTestApi } from '@tidings/api/testing/test-api'
import { makeTestFolder, useReleaser } from '@tidings/stack/testing/test-context'
import openapiTypescript, { astToString, type OpenAPI3 } from 'openapi-typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { compile } from './compile.ts'

/** What a front end or a producer writes with the generated types. */
const CLIENT = `
import type { components, operations, paths } from './tidings.ts'

type Schemas = components['schemas']
type Json<Answer> = Answer extends { content: { 'application/json': infer Body } } ? Body : never
type Answer<Id extends keyof operations, Status extends keyof operations[Id]['responses']> =
  Json<operations[Id]['responses'][Status]>

declare function send<Path extends keyof paths>(path: Path, init: { method: string; body?: string }): Promise<Response>

async function registerUser(body: Schemas['RegisterUserBody']): Promise<Schemas['User']> {
  const response = await send('/api/v1/users/', { method: 'POST', body: JSON.stringify(body) })
  const { data }: Answer<'registerUser', 201> = await response.json()
  return data.user
}

export async function reportAndRead(): Promise<Schemas['Status'] | undefined> {
  const user = await registerUser({ name: 'Ada', email: 'ada@example.com', password: 'a long one' })
  const report: Schemas['StatusReport'] = { notification_id: 'order-7', status: 'sent', user_id: user.id }
  await send('/api/v1/email/status/', { method: 'POST', body: JSON.stringify(report) })
  const response = await send('/api/v1/notifications/{notification_id}/', { method: 'GET' })
  const { data }: Answer<'readNotification', 200> = await response.json()
  const type: Schemas['NotificationType'] = data.notification_type
  const [first]: Schemas['StatusEvent'][] = data.timeline
  const failure: Schemas['DeliveryError'] | string | null | undefined = first?.error
  return type === 'push' && failure === null ? undefined : first?.status
}

export function explain(problem: Schemas['Problem']): string {
  const [first]: Schemas['FieldError'][] = problem.errors
  return first === undefined ? problem.detail : first.message
}

export function isAccepted(result: Schemas['BatchResult']): string {
  return result.accepted ? result.id : result.message
}

// @ts-expect-error A report needs a status.
export const incomplete: Schemas['StatusReport'] = { notification_id: 'order-7' }
// @ts-expect-error There is no such path.
export const wrongPath: keyof paths = '/api/v1/nothing/'
`

describe('types generated from the OpenAPI document', () => {
  const releaser = useReleaser()
  let document: OpenAPI3
  let folder: string
  beforeAll(async () => {
    const { apiUrl } = await startTestApi(releaser)
    document = (await (await fetch(`${apiUrl}/openapi.json`)).json()) as OpenAPI3
    folder = await makeTestFolder(releaser)
  })

  it('have readable names, and a client that uses them compiles', async () => {
    await writeFile(join(folder, 'tidings.ts'), astToString(await openapiTypescript(document)))
    await writeFile(join(folder, 'client.ts'), CLIENT)
    expect(await compile('client.ts', folder, ['--exactOptionalPropertyTypes'])).toBe('')
  })

  it('name every shape that occurs twice', () => {
    /** By its JSON: where the document writes a shape out. Answers of several operations may be alike. */
    const places = new Map<string, string[]>()
    const isNamed = (place: string) => /^schemas\/\w+$/.test(place)
    function visit(value: unknown, place: string): void {
      if (typeof value !== 'object' || value === null) return
      if (isShape(value)) {
        const { description: _, ...shape } = value as Record<string, unknown>
        const text = JSON.stringify(shape)
        places.set(text, [...(places.get(text) ?? []), place])
      }
      for (const [name, part] of Object.entries(value)) visit(part, `${place}/${name}`)
    }
    visit(document.components?.schemas, 'schemas')
    visit(document.paths, 'paths')
    expect([...places.values()].filter((found) => found.length > 1 && !found.every(isNamed))).toEqual([])
  })
})

/** A choice, or an object with fields: what a generated client writes out unless it has a name. */
function isShape(value: object): boolean {
  if ('enum' in value && Array.isArray(value.enum)) return value.enum.length > 1
  return 'properties' in value && 'type' in value && value.type === 'object' && hasSeveral(value.properties)
}

const hasSeveral = (properties: unknown) =>
  typeof properties === 'object' && properties !== null && Object.keys(properties).length > 1
