import { LRUCache } from 'lru-cache'
import type { FetchFromSns } from './fetch-from-sns.ts'

/** SNS has one certificate for each region at a time. */
const MAX_CERTIFICATES = 100
/** Amazon changes its certificates rarely, and names the new one differently. In milliseconds. */
const KEEP_MS = 24 * 60 * 60 * 1000

/** Fetches the certificates of SNS, each once a day. Requests that need the same one at a time share one fetch. */
export function createCertificateFetcher(fetchFromSns: FetchFromSns): (url: string) => Promise<string> {
  const certificates = new LRUCache<string, Promise<string>>({ max: MAX_CERTIFICATES, ttl: KEEP_MS })
  return (url) => {
    const known = certificates.get(url)
    if (known !== undefined) return known
    const fetched = fetchFromSns(url)
    certificates.set(url, fetched)
    fetched.catch(() => {
      if (certificates.peek(url) === fetched) certificates.delete(url)
    })
    return fetched
  }
}
