import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/**/*.test.ts", "services/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "test/kubernetes/**"],
    globalSetup: ["test/global-setup.ts"],
    // some kill all that runs on nodes of a name, and all share one database server, whose oldest transaction holds back every feed
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
