import type { Category } from '@tidings/db/suppressions/categories'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseCategory } from '../../input/parse-option.ts'
import { writeList } from '../../terminal/output.ts'

interface SetOptions {
  default: 'on' | 'off'
  required?: true
}

const load = () => import('@tidings/db/suppressions/categories')

/** The commands import their code on first use: loading the query builder takes longer than most commands. */
export function registerCategories(program: Command, context: CliContext): void {
  const group = program
    .command('categories')
    .description('Kinds of messages that users can switch on and off.')
  group
    .command('list')
    .description('List the categories.')
    .action(async () => {
      const { listCategories } = await load()
      await writeList<Category>(context, await listCategories(await context.database()), {
        columns: [
          { title: 'KEY', cell: ({ key }) => key, whole: true },
          { title: 'DEFAULT', cell: (category) => (category.default ? 'on' : 'off') },
          { title: 'REQUIRED', cell: ({ required }) => (required ? 'yes' : 'no') },
        ],
        json: (category) => category,
        id: ({ key }) => key,
      })
    })
    .addHelpText('after', '\nExample:\n  tidings categories list -o json')
  group
    .command('set')
    .description('Add a category, or change it. Users keep their choices.')
    .argument('<key>', 'lower-case letters, digits, and . _ - after the first', parseCategory)
    .addOption(
      new Option('--default <state>', 'for users who did not choose').choices(['on', 'off']).default('on'),
    )
    .option('--required', 'send it whatever the user chose, such as a receipt')
    .action(async (key: string, options: SetOptions) => {
      context.assertWritable()
      const { setCategory } = await load()
      const category = { key, default: options.default === 'on', required: options.required === true }
      await setCategory(await context.database(), category, {
        ...audit(context, 'categories.set', category),
        result: 'set',
      })
      context.terminal.say(`Set ${key}.`)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings categories set newsletter
  tidings categories set offers --default off
  tidings categories set receipts --required`,
    )
  group
    .command('remove')
    .description('Remove a category. Senders can no longer ask for it.')
    .argument('<key>', 'as shown by categories list', parseCategory)
    .action(async (key: string) => {
      context.assertWritable()
      const { removeCategory } = await load()
      const removed = await removeCategory(await context.database(), key, {
        ...audit(context, 'categories.remove', { key }),
        result: 'removed',
      })
      if (!removed) throw new CliError(EXIT.notFound, `There is no category ${key}.`)
      context.terminal.say(`Removed ${key}.`)
    })
    .addHelpText('after', '\nExample:\n  tidings categories remove offers')
}

const audit = (context: CliContext, action: string, selector: object) => ({
  actor: context.actor(),
  action,
  selector,
  matched: 1,
  changed: 1,
})
