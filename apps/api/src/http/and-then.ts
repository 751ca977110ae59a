/** A value, or a promise of it when the caller has to wait. */
export type MaybePromise<Value> = Value | Promise<Value>

/**
 * Calls `next` with the value: at once, or after the promise resolves. Most values come from a cache without a promise,
 * and an `await` would cost a turn of the microtask queue and several objects.
 */
export function andThen<Value, Result>(
  value: MaybePromise<Value>,
  next: (value: Value) => MaybePromise<Result>,
): MaybePromise<Result> {
  return value instanceof Promise ? value.then(next) : next(value)
}
