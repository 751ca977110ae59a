import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The longest file of all first: begun last, as its size would have it, it would run on alone at the end. */
class ChaosFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isChaos = (file: TestSpecification) => Number(file.moduleId.includes('/chaos/'))
    return (await super.sort(files)).sort((a, b) => isChaos(b) - isChaos(a))
  }
}

export default defineConfig({
  test: {
    include: ['apps', 'packages', 'tools', 'chaos', 'bench', 'test'].map((room) => `${room}/**/*.test.ts`),
    globalSetup: ['tools/stack/src/test-setup.ts'],
    // Test files start processes of their own; more at once would only make each other slow.
    maxWorkers: 2,
    sequence: { sequencer: ChaosFirst },
    // Only what hangs runs into these: a busy machine must not fail a test that waits for processes.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    coverage: {
      provider: 'v8',
      include: ['apps/*/src/**/*.ts', 'packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/testing/**'],
      reporter: ['text-summary', 'json-summary'],
      reportsDirectory: 'coverage',
    },
  },
})
