import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { toShown } from '../../mask-output.ts'
import { writeItem } from '../../terminal/output.ts'
import { deadLettersSection } from './dead-letters-section.ts'
import { notificationsSection, recipientSection, type Section } from './sections.ts'
import { findSubject, type Subject } from './subject.ts'
import { suppressionsSection } from './suppressions-section.ts'
import { usersSection } from './users-section.ts'

/** What is looked for, in the order it is shown. */
const SECTIONS: readonly ((context: CliContext, subject: Subject) => Promise<Section>)[] = [
  usersSection,
  suppressionsSection,
  notificationsSection,
  recipientSection,
  deadLettersSection,
]

/**
 * Shows everything that is known of an id, an address or a token.
 *
 * @throws CliError `notFound`, without the text: it may be an address.
 */
export async function findAnything(context: CliContext, given: string): Promise<void> {
  const subject = await findSubject(context, given.trim())
  const sections = await Promise.all(SECTIONS.map((find) => find(context, subject)))
  if (sections.every(({ items }) => items.length === 0)) {
    throw new CliError(
      EXIT.notFound,
      'Nothing is known of it: no user, no notification, no event, no message of a provider, no recipient, ' +
        'no suppression, no dead letter. Give the whole id, address or token.',
    )
  }
  const more = sections.filter(({ hasMore }) => hasMore).map(({ name }) => name)
  const item = { ...Object.fromEntries(sections.map(({ name, items }) => [name, items])), more }
  const texts = sections.flatMap((section) => section.texts)
  if (more.length > 0) texts.push(`There are more: ${more.map((name) => name.replace('_', ' ')).join(', ')}.`)
  await writeItem(context, toShown(context.globals, item), texts.join('\n\n'))
}
