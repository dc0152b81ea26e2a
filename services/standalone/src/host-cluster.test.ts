import { expect, it } from "vitest";
import { hostCluster } from "./host-cluster.ts";

it("offers each model of accelerator as a pool with its node", () => {
  const documents = hostCluster([
    { vendor: "nvidia", model: "h800", count: 6, memory: 85_899_345_920 },
    { vendor: "amd", model: "mi300x", count: 2, memory: 206_158_430_208 },
  ]);
  expect(documents.map(({ kind }) => kind)).toEqual(["pool", "node", "pool", "node"]);
  expect(documents[0]).toMatchObject({ vendor: "nvidia", accelerator: "h800" });
  expect(documents[1]).toMatchObject({ devices: 6, pool: documents[0]?.name, device_memory: 85_899_345_920 });
  expect(hostCluster([])).toEqual([]);
});
