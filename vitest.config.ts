import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['apps', 'packages', 'tools', 'chaos', 'bench', 'test'].map((room) => `${room}/**/*.test.ts`),
    globalSetup: ['tools/stack/src/test-setup.ts'],
    // Test files start processes of their own; more at once would only make each other slow.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    coverage: {
      provider: 'v8',
      include: ['apps', 'packages', 'tools', 'chaos', 'bench', 'test'].map((room) => `${room}/**/*.test.ts`),
      reporter: ['text-summary', 'json-summary'],
      reportsDirectory: 'coverage',
    },
  },
})
