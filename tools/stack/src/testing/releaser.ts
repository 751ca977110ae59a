export type Release = () => Promise<void> | void

/** Gives back in reverse order what a test acquired. Unlike an app's lifecycle, a failure here is an error. */
export interface Releaser {
  /** Registers the release of a thing that was just acquired; returns the thing. */
  add<T>(thing: T, release: (thing: T) => Promise<unknown> | unknown): T
  onRelease(release: Release): void
  /** @throws AggregateError with every failure, after all was tried. */
  release(): Promise<void>
}

export function createReleaser(): Releaser {
  const releases: Release[] = []
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
      if (errors.length > 1) throw new AggregateError(errors, 'Several things could not be released')
    },
  }
}
