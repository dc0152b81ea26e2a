import type { Pool } from "@muster/store";
import { expect, it } from "vitest";
import { createHttp } from "./http.ts";

it("tells for how long nothing was heard of each cluster, by what is watched", async () => {
  const ages = [
    { shard: "east", watch: "pods", milliseconds: 1500 },
    { shard: "west", watch: "nodes", milliseconds: 121_000 },
  ];
  const app = createHttp({ query: async () => ({ rows: [] }) } as unknown as Pool, { id: "one", shards: ["east", "west"] }, { ages: () => ages });
  const { body } = await app.inject("/metrics");
  expect(body.split("\n").filter((line) => /^muster_(kubernetes|supervisor)/.test(line))).toEqual([
    "muster_supervisor_shards 2",
    'muster_kubernetes_last_event_age_seconds{shard="east",watch="pods"} 1.5',
    'muster_kubernetes_last_event_age_seconds{shard="west",watch="nodes"} 121',
  ]);
});
