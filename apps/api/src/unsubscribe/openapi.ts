import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { unsubscribeLinkSchema, unsubscribeLinksSchema } from './unsubscribe-routes.ts'

const page = (description: string) => ({ description, other: 'text/html' })
const notFound = page('The link is not complete, or was changed.')

export const unsubscribeOperations: readonly Operation[] = [
  {
    id: 'mintUnsubscribeLinks',
    method: 'post',
    path: '/api/v1/unsubscribe-links',
    tag: 'suppressions',
    summary: 'Make one-click unsubscribe links for up to 500 mails',
    description:
      'Put `headers` into the mail as they are (RFC 8058), and sign both with DKIM. One answer per link, in their order.',
    access: ['users:read'],
    body: unsubscribeLinksSchema,
    example: { links: [{ recipient: 'ann@example.com' }] },
    answers: { 200: { description: 'One answer per link.', data: z.array(unsubscribeLinkSchema) } },
  },
  {
    id: 'showUnsubscribePage',
    method: 'get',
    path: '/u/:token',
    tag: 'suppressions',
    summary: 'The page behind an unsubscribe link',
    description: 'Shows a button and changes nothing.',
    access: 'public',
    answers: { 200: page('A page with a button.'), 404: notFound },
  },
  {
    id: 'unsubscribe',
    method: 'post',
    path: '/u/:token',
    tag: 'suppressions',
    summary: 'Unsubscribe with one click',
    description: 'Mail clients send it (RFC 8058), and the button of the page. A repeat changes nothing.',
    access: 'public',
    answers: { 200: page('The address is unsubscribed.'), 404: notFound },
  },
]
