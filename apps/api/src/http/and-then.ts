/** A value, or the promise of one where something has to be waited for. */
export type MaybePromise<Value> = Value | Promise<Value>

/**
 * Goes on with the value: at once when it is there, which for what is cached is nearly always. Each `await` on
 * the way of a request would cost it a turn of the microtask queue and several objects.
 */
export function andThen<Value, Result>(
  value: MaybePromise<Value>,
  next: (value: Value) => MaybePromise<Result>,
): MaybePromise<Result> {
  return value instanceof Promise ? value.then(next) : next(value)
}
