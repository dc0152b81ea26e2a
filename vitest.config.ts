import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/**/*.test.ts", "services/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "test/kubernetes/**"],
    globalSetup: ["test/global-setup.ts"],
    setupFiles: ["test/own-server.ts", "test/seed.ts"],
    // tests mostly wait: two at a time suit two cores
    maxWorkers: 2,
    // what they wait for has deadlines of its own; these are for machines that do much else
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
