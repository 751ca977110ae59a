import { defineConfig } from 'vitest/config'

/** The tests that need bench/ installed; `npm test` runs the others. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['src/testing/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
