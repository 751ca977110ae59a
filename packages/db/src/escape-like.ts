/** Escapes the characters that LIKE reads as patterns. */
export const escapeLike = (text: string) => text.replace(/[\\%_]/g, String.raw`\$&`)
