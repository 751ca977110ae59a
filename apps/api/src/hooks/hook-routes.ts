import { Hono } from 'hono'
import type { ApiEnv } from '../http/context.ts'
import { success } from '../http/respond.ts'
import type { HookReceiver } from './hook-receiver.ts'

export interface HookRouteDeps {
  hooks: Pick<HookReceiver, 'receive'>
}

/** POST /hooks/{provider}/{hook_id}: providers report by themselves. docs/providers/README.md gives each answer. */
export function hookRoutes(deps: HookRouteDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>({ strict: false }).post('/hooks/:provider/:hook_id', async (c) => {
    const result = await deps.hooks.receive(c.req.param('provider'), c.req.param('hook_id'), c.env.incoming)
    return success(200, 'Received.', result)
  })
}
