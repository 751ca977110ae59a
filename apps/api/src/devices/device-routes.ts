import type { Database } from '@tidings/db/database'
import { registerDevice, removeDevice } from '@tidings/db/users/devices'
import { type Device, deviceIdSchema, deviceRegistrationSchema } from '@tidings/shared/device'
import { parseValue } from '@tidings/shared/parse-value'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Caches } from '../cache/caches.ts'
import type { Authorize } from '../http/authorize.ts'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { readJson } from '../http/read-json.ts'
import { notFound } from '../http/read-query.ts'
import { success } from '../http/respond.ts'
import { refuseChange, requireSelf, requireVisible } from '../users/path-user.ts'

export interface DeviceRouteDeps {
  authorize: Authorize
  db: Database
  caches: Caches
}

const pathSchema = z.object({ device_id: deviceIdSchema })

/** Routes for the devices that receive a user's push messages. */
export function deviceRoutes({ authorize, db, caches }: DeviceRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  async function readDevices(c: ApiContext): Promise<Device[]> {
    const caller = await authorize.userOrService(c, 'users:read')
    const found = await caches.users.get(requireVisible(c, caller))
    if (found === undefined) throw notFound()
    return found.devices
  }

  app.get('/api/v1/users/:id/devices', async (c) => success(200, 'Devices.', await readDevices(c)))

  app.get('/api/v1/users/:id/devices/:device_id', async (c) => {
    const devices = await readDevices(c)
    const device = devices.find(({ device_id }) => device_id === c.req.param('device_id'))
    if (device === undefined) throw notFound()
    return success(200, 'Device found.', device)
  })

  app.put('/api/v1/users/:id/devices/:device_id', async (c) => {
    const caller = await authorize.user(c)
    const userId = requireSelf(c, caller)
    const { device_id: deviceId } = parseValue(pathSchema, { device_id: c.req.param('device_id') })
    const registered = await registerDevice(db, caller, deviceId, await readJson(c, deviceRegistrationSchema))
    if (!('device' in registered)) throw refuseChange(registered.outcome)
    await caches.users.invalidate([userId, ...registered.takenFrom])
    const status = registered.outcome === 'created' ? 201 : 200
    return success(status, 'Device registered.', registered.device)
  })

  app.delete('/api/v1/users/:id/devices/:device_id', async (c) => {
    const userId = requireSelf(c, await authorize.user(c))
    const { device_id: deviceId } = parseValue(pathSchema, { device_id: c.req.param('device_id') })
    if (!(await removeDevice(db, userId, deviceId))) throw notFound()
    await caches.users.invalidate([userId])
    return success(200, 'Device removed.', { device_id: deviceId })
  })

  return app
}
