import { configDefaults, defineConfig } from 'vitest/config'

/** Only what hangs runs into these: a busy machine must not fail a test that waits for processes. */
const LIMITS = { testTimeout: 60_000, hookTimeout: 120_000, teardownTimeout: 30_000 }
const testsOf = (rooms: string[]) => rooms.map((room) => `${room}/**/*.test.ts`)

export default defineConfig({
  test: {
    projects: [
      {
        // By itself, before all others: its rows look at times, and at connections that end in the wrong moment.
        test: {
          ...LIMITS,
          name: 'chaos',
          include: testsOf(['chaos']),
          sequence: { groupOrder: 0 },
          maxWorkers: 2,
        },
      },
      {
        // Test files start processes of their own, and wait for them: one more than there are cores keeps these busy.
        test: {
          ...LIMITS,
          name: 'tests',
          include: testsOf(['apps', 'packages', 'tools', 'bench', 'test']),
          // `npm run bench:test` runs these: they need the packages that bench/ installs.
          exclude: [...configDefaults.exclude, 'bench/src/testing/**'],
          globalSetup: ['tools/stack/src/testing/test-setup.ts'],
          sequence: { groupOrder: 1 },
          maxWorkers: 3,
        },
      },
    ],
    coverage: {
      provider: 'v8',
      include: ['apps/*/src/**/*.ts', 'packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/testing/**'],
      reporter: ['text-summary', 'json-summary'],
      reportsDirectory: 'coverage',
    },
  },
})
