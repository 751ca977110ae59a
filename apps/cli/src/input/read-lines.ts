export interface ReadLinesOptions {
  /** Cuts longer lines, in characters. A line without an end would fill memory. */
  maxLength?: number
  /** Ends the reading, even within a line. */
  signal?: AbortSignal
}

/** Splits a stream at newlines only. readline also splits at U+2028, which JSON strings may contain. */
export async function* readLines(
  input: NodeJS.ReadableStream,
  { maxLength = Number.POSITIVE_INFINITY, signal }: ReadLinesOptions = {},
): AsyncGenerator<string> {
  input.setEncoding('utf8')
  /** The beginning of a line, in pieces. Joining them at each chunk would take quadratic time. */
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
