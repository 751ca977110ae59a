/** Amazon answers in a second or not at all. In milliseconds. */
const FETCH_WITHIN_MS = 5_000
/** Certificates and confirmations have a few kilobytes. */
const MAX_ANSWER_BYTES = 64 * 1024

/** `sns.<region>.amazonaws.com`, also in China. */
const SNS_HOST = /^sns\.[a-z]{2}(?:-[a-z]+)+-\d\.amazonaws\.com(?:\.cn)?$/

/**
 * Makes a GET and returns the answer.
 *
 * @throws when the URL is not one of SNS, or when SNS does not answer with 200.
 */
export type FetchFromSns = (url: string) => Promise<string>

/**
 * The only requests that the API makes for a payload. The URL comes from outside, so it must be one of SNS, and redirects
 * are not followed.
 *
 * @param standIn the origin of a server that stands for every SNS. For tests.
 */
export function createFetchFromSns(standIn?: string): FetchFromSns {
  return async (text) => {
    const url = assertSnsUrl(text)
    const target = standIn === undefined ? url : new URL(url.pathname + url.search, standIn)
    const answer = await fetch(target, { redirect: 'manual', signal: AbortSignal.timeout(FETCH_WITHIN_MS) })
    if (answer.status !== 200) {
      await answer.body?.cancel()
      throw new Error(`SNS answered with ${answer.status}`)
    }
    return readLimited(answer)
  }
}

function assertSnsUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSns =
    url?.protocol === 'https:' &&
    SNS_HOST.test(url.hostname) &&
    url.port === '' &&
    url.username === '' &&
    url.password === ''
  if (!isSns) throw new Error('The URL is not one of SNS')
  return url
}

async function readLimited(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error('The answer of SNS is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
