import type { AskedUser } from '@tidings/accounts/deliverability'
import { preferencesOf, type UserRow } from '@tidings/db/users/users'

/** A stored user, for the question whether messages reach them. */
export const toAskedUser = (row: UserRow): AskedUser => ({
  id: row.id,
  found: {
    user: { email: row.email, preferences: preferencesOf(row) },
    isActive: row.isActive,
    devices: row.devices,
  },
})
