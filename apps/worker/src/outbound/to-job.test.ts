import type { ClaimedMessage } from '@tidings/db/users/claim-messages'
import { OUTBOUND_KINDS, OUTBOUND_LINKS, outboundJobSchema } from '@tidings/shared/outbound-message'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toJob } from './to-job.ts'

const message = fc.record<ClaimedMessage>({
  id: fc.uuid(),
  kind: fc.constantFrom(...OUTBOUND_KINDS),
  userId: fc.uuid(),
  to: fc.emailAddress(),
  locale: fc.constantFrom('en', 'pt-BR'),
  variables: fc.dictionary(fc.stringMatching(/^[a-z][a-z_]{0,20}$/), fc.string()),
  expiresAt: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }),
  token: fc.option(fc.stringMatching(/^[\w-]{43}$/), { nil: undefined }),
})
const base = fc.constantFrom(
  'https://app.example.com',
  'https://example.com/account/',
  'http://localhost:8001//',
)

test('every message becomes a valid job, whose link opens the page of its kind with the token', () => {
  fc.assert(
    fc.property(message, base, (claimed, baseUrl) => {
      const job = toJob(claimed, baseUrl)
      expect(outboundJobSchema.parse(JSON.parse(JSON.stringify(job)))).toEqual(job)
      const path = OUTBOUND_LINKS[claimed.kind]?.path
      if (path === undefined || claimed.token === undefined) {
        expect(job.variables).toEqual(claimed.variables)
        return
      }
      const link = new URL(job.variables.link ?? '')
      expect([link.origin, link.searchParams.get('token')]).toEqual([new URL(baseUrl).origin, claimed.token])
      expect(link.pathname).toBe(new URL(baseUrl).pathname.replace(/\/+$/, '') + path)
    }),
  )
})
