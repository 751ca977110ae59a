const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether PostgreSQL would take this text for a UUID of the usual form, in either case. */
export const isUuid = (text: string): boolean => UUID.test(text)
