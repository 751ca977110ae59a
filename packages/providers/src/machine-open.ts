/**
 * Whether a program loaded the pixel of a message, not its reader. Apple's mail privacy protection loads it when the
 * message arrives, and calls itself this and nothing more. Gmail's proxy loads it when the reader opens the message.
 */
export const isMachineUserAgent = (userAgent: string | undefined): boolean =>
  userAgent?.trim() === 'Mozilla/5.0'

/** The event type under which such opens are counted. They have no status, so `opened_at` stays what it is. */
export const MACHINE_OPEN = 'machine_open'
