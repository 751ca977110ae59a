import { createHash, createHmac } from 'node:crypto'

/** Twilio signs the URL as the sender wrote it, then each parameter of a form with its value, sorted by name. */
export function digestTwilio(authToken: string, url: string, form: URLSearchParams): Buffer {
  const hmac = createHmac('sha1', authToken).update(url)
  for (const name of [...new Set(form.keys())].sort()) {
    for (const value of [...new Set(form.getAll(name))].sort()) hmac.update(name).update(value)
  }
  return hmac.digest()
}

/** In hex, as the parameter bodySHA256 has it. */
export const digestBody = (body: Buffer): string => createHash('sha256').update(body).digest('hex')

/** Signs a form as Twilio does. `url` includes the query and no fragment. */
export const signTwilio = (
  url: string,
  form: URLSearchParams,
  authToken: string,
): Record<string, string> => ({
  'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
  'x-twilio-signature': digestTwilio(authToken, url, form).toString('base64'),
})

/** Signs JSON as Twilio does. The URL that it posts to holds the digest of the body. */
export function signTwilioJson(url: string, body: Buffer, authToken: string) {
  const signedUrl = `${url}${url.includes('?') ? '&' : '?'}bodySHA256=${digestBody(body)}`
  const digest = digestTwilio(authToken, signedUrl, new URLSearchParams())
  return {
    url: signedUrl,
    headers: { 'content-type': 'application/json', 'x-twilio-signature': digest.toString('base64') },
  }
}
