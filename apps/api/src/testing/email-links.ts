import { call, type Reply } from './http.ts'

/** Calls the routes of links, each by the name of its operation. */
export const emailLinks = (apiUrl: string) => {
  const post = (path: string, body?: unknown, token?: string): Promise<Reply> =>
    call(`${apiUrl}/api/v1${path}`, { method: 'POST', body, token })
  return {
    requestReset: (email: string) => post('/auth/password-reset/', { email }),
    reset: (token: string, password: string) => post('/auth/password-reset/confirm/', { token, password }),
    requestVerification: (accessToken: string) => post('/auth/email-verification/', undefined, accessToken),
    verify: (token: string) => post('/auth/email-verification/confirm/', { token }),
    requestChange: (accessToken: string, email: string, password?: string) =>
      post('/users/me/email/', { email, password }, accessToken),
    confirmChange: (token: string) => post('/auth/email-change/confirm/', { token }),
    undoChange: (token: string) => post('/auth/email-change/undo/', { token }),
  }
}
