/**
 * How far the clock that issued a token may differ from this process's clock: that of another replica, or of the Django
 * service. A token is accepted this long after its `exp`, and this long before its `iat`.
 */
export const CLOCK_LEEWAY_SECONDS = 10
