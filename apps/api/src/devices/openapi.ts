import { deviceIdSchema, deviceRegistrationSchema, deviceSchema, MAX_DEVICES } from '@tidings/shared/device'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { pathUserSchema } from '../users/path-user.ts'

const params = { id: pathUserSchema }
const deviceParams = { ...params, device_id: deviceIdSchema }

export const deviceOperations: readonly Operation[] = [
  {
    id: 'listDevices',
    method: 'get',
    path: '/api/v1/users/:id/devices',
    tag: 'users',
    summary: "A user's devices, most recently seen first",
    description: `At most ${MAX_DEVICES}, with their push tokens.`,
    access: ['user', 'users:read'],
    params,
    answers: { 200: { description: 'The devices.', data: z.array(deviceSchema) } },
  },
  {
    id: 'readDevice',
    method: 'get',
    path: '/api/v1/users/:id/devices/:device_id',
    tag: 'users',
    summary: 'Read a device',
    access: ['user', 'users:read'],
    params: deviceParams,
    answers: { 200: { description: 'The device.', data: deviceSchema } },
  },
  {
    id: 'registerDevice',
    method: 'put',
    path: '/api/v1/users/:id/devices/:device_id',
    tag: 'users',
    summary: 'Register a device for push messages',
    description:
      'Call it whenever the app starts. The token is taken from any other device or user. ' +
      `Of more than ${MAX_DEVICES} devices, the one unseen for the longest time is removed.`,
    access: ['user'],
    params: deviceParams,
    body: deviceRegistrationSchema,
    example: { platform: 'fcm', token: 'fcm-token-of-the-phone', app: 'com.example.app' },
    answers: {
      200: { description: 'Registered again.', data: deviceSchema },
      201: { description: 'Registered.', data: deviceSchema },
    },
  },
  {
    id: 'removeDevice',
    method: 'delete',
    path: '/api/v1/users/:id/devices/:device_id',
    tag: 'users',
    summary: 'Remove a device',
    description: 'Call it at a logout. Removing `default` clears the push token.',
    access: ['user'],
    params: deviceParams,
    answers: { 200: { description: 'Removed.', data: z.strictObject({ device_id: z.string() }) } },
    errors: ['validation_failed'],
  },
]
