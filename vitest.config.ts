import { availableParallelism } from 'node:os'
import { configDefaults, defineConfig } from 'vitest/config'

/** Generous, so that a busy machine fails no test that waits for processes. Only a test that hangs reaches them. */
const LIMITS = { testTimeout: 120_000, hookTimeout: 180_000, teardownTimeout: 30_000 }
/** Test files mostly wait for processes, so twice as many as cores keep the cores busy. */
const MAX_WORKERS = Math.min(2 * availableParallelism(), 8)
/** Runs alone, before the others: its rows check how fast the API answers during a fault. */
const FAULT_MATRIX = 'chaos/src/main.test.ts'
const testsOf = (folders: string[]) => folders.map((folder) => `${folder}/**/*.test.ts`)

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...LIMITS,
          name: 'chaos',
          include: [FAULT_MATRIX],
          sequence: { groupOrder: 0 },
          maxWorkers: 1,
        },
      },
      {
        test: {
          ...LIMITS,
          name: 'tests',
          include: testsOf(['apps', 'packages', 'tools', 'bench', 'chaos', 'examples', 'test']),
          // npm run bench:test runs these, because they need the packages that bench/ installs.
          exclude: [...configDefaults.exclude, FAULT_MATRIX, 'bench/src/testing/**'],
          globalSetup: ['tools/stack/src/testing/test-setup.ts'],
          sequence: { groupOrder: 1 },
          maxWorkers: MAX_WORKERS,
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
