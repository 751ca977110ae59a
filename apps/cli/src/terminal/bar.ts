/** A bar as long as the share of `room` columns, and at least one column. */
export const drawBar = (share: number, room: number): string =>
  '█'.repeat(Math.max(1, Math.round(share * room)))
