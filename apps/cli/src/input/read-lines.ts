export interface ReadLinesOptions {
  /** Longer lines are cut: one without an end would fill memory. In characters. */
  maxLength?: number
  /** Ends the reading, also within a line. */
  signal?: AbortSignal
}

/** Splits at newlines only: readline also does at U+2028, which JSON leaves as it is inside a string. */
export async function* readLines(
  input: NodeJS.ReadableStream,
  { maxLength = Number.POSITIVE_INFINITY, signal }: ReadLinesOptions = {},
): AsyncGenerator<string> {
  input.setEncoding('utf8')
  /** The beginning of a line, in pieces: to join them for each chunk would take the square of its length. */
  let pieces: string[] = []
  let length = 0
  function keep(piece: string) {
    if (length < maxLength) pieces.push(piece)
    length += piece.length
  }
  function takeLine(): string {
    const line = pieces.join('').slice(0, maxLength)
    pieces = []
    length = 0
    return line
  }

  for await (const chunk of input) {
    if (signal?.aborted) return
    const [first = '', ...others] = String(chunk).split('\n')
    keep(first)
    for (const other of others) {
      yield takeLine()
      keep(other)
    }
  }
  if (length > 0) yield takeLine()
}
