/**
 * Rejects when the work takes longer than `ms` milliseconds. The work goes on, and nobody hears of its outcome.
 *
 * @param createError makes the error of late work.
 */
export async function withDeadline<Result>(
  work: Promise<Result>,
  ms: number,
  createError: () => Error,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(createError()), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
