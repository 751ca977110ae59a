import { POSTMARK_USER } from './verify.ts'

/** The header with which Postmark would send anything to a hook with this secret. */
export const signPostmark = (secret: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${POSTMARK_USER}:${secret}`).toString('base64')}`,
})
