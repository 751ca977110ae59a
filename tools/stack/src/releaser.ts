/** Collects what must be released, and releases it in reverse order. */
export interface Releaser {
  /** Registers the release of a thing that was just acquired, and returns the thing. */
  add<T>(thing: T, release: (thing: T) => Promise<unknown> | unknown): T
  onRelease(release: () => Promise<void> | void): void
  /**
   * Runs every release once, the last registered first.
   *
   * @throws the one failure, or an AggregateError of several, after all releases have run.
   */
  release(): Promise<void>
}

/** Unlike an app's lifecycle, a release here has no deadline, and its failure is an error. */
export function createReleaser(): Releaser {
  const releases: (() => Promise<void> | void)[] = []
  return {
    add(thing, release) {
      releases.push(async () => void (await release(thing)))
      return thing
    },
    onRelease: (release) => void releases.push(release),
    async release() {
      const errors: unknown[] = []
      for (let release = releases.pop(); release; release = releases.pop()) {
        try {
          await release()
        } catch (error) {
          errors.push(error)
        }
      }
      if (errors.length === 1) throw errors[0]
      if (errors.length > 1) throw new AggregateError(errors, 'Several releases failed')
    },
  }
}
