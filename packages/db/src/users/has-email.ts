import { eq, type SQL, sql } from 'drizzle-orm'
import { users } from '../schema/users.ts'

/** The condition that finds the user of an address; upper and lower case are equal. The unique index serves it. */
export const hasEmail = (email: string): SQL => eq(sql`lower(${users.email})`, sql`lower(${email})`)
