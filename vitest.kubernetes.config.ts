import { defineConfig } from "vitest/config";

/** The suite that needs a Kubernetes control plane: `npm run test:kubernetes`. */
export default defineConfig({
  test: {
    include: ["test/kubernetes/**/*.test.ts"],
    globalSetup: ["test/kubernetes/global-setup.ts", "test/global-setup.ts"],
    // each file has a control plane of its own
    fileParallelism: false,
    // minutes long: what passed is to be seen
    reporters: ["verbose"],
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
