import { useReleaser } from '@tidings/stack/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startTestApi, type TestApi } from './testing/test-api.ts'

describe('the API', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser)
  })

  it('is healthy when it can reach its stores', async () => {
    const response = await fetch(`${api.apiUrl}/health/`)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ status: 'healthy' })
  })
})
