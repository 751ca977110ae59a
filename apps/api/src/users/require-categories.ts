import type { Database } from '@tidings/db/database'
import { type Category, findCategories } from '@tidings/db/suppressions/categories'
import { AppError } from '@tidings/shared/errors'

/**
 * Checks that every category exists: a misspelled one would reach users who opted out of the one that was meant.
 *
 * @param pointer the field that names them.
 * @throws AppError `validation_failed`.
 */
export async function requireCategories(
  db: Database,
  keys: readonly string[],
  pointer: string,
): Promise<Category[]> {
  const unique = new Set(keys)
  const found = await findCategories(db, [...unique])
  if (found.length === unique.size) return found
  const message = 'There is no such category. An operator adds one with: tidings categories set.'
  throw new AppError('validation_failed', 'The request is not valid.', {
    fields: [{ pointer, code: 'invalid', message }],
  })
}

export async function requireCategory(db: Database, key: string, pointer: string): Promise<Category> {
  const [category] = await requireCategories(db, [key], pointer)
  if (category === undefined) throw new Error('requireCategories found nothing')
  return category
}
