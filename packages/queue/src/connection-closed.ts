/** All that ioredis says to a caller whose connection could not be opened. */
export const CONNECTION_CLOSED = 'Connection is closed.'
