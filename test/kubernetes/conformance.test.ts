import { setTimeout as delay } from "node:timers/promises";
import { conformanceStart, engineConformance } from "@muster/engine/conformance";
import { afterAll, describe, expect, it, vi } from "vitest";
import { realBehaviour } from "./behaviour.ts";
import { asked, AUDIT, granted, used } from "./chart-roles.ts";
import { EngineCluster, until } from "./engine-cluster.ts";
import { noControlPlane } from "./ready.ts";

describe.skipIf(noControlPlane)("on a real control plane", () => {
  let cluster: EngineCluster;
  afterAll(() => cluster.close());

  engineConformance("the Kubernetes engine", async () => {
    cluster = await EngineCluster.start({ nodes: [{ name: "node-a" }, { name: "node-b" }], audit: AUDIT });
    return {
      engine: await cluster.open(),
      nodes: ["node-a", "node-b"],
      behave: realBehaviour,
      pass: () => delay(10),
      reconnect: () => Promise.resolve(cluster.again()),
      dispose: () => Promise.resolve(),
    };
  });

  // after the suite, which is what used them
  describe("the chart's role", () => {
    it("allows all that the engine asked for", () => {
      expect(asked(cluster.plane).length).toBeGreaterThan(100);
      // what other operators' objects a supervisor may use it finds out by asking
      const own = asked(cluster.plane).filter(({ objectRef }) => objectRef.apiGroup === undefined);
      expect(own.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);
    });

    it("grants no verb that isn't used", async () => {
      // what the suite can't reach: another supervisor finds what the first has made, and files that no pod uses are swept away
      const engine = await cluster.open();
      const attempt = { job: "job_files", incarnation: "71", attempt: 1 };
      const files = [{ path: "notes", content: "of no use" }];
      await engine.start([conformanceStart({ ...attempt, worker: "worker/0" }, "node-a", { ...realBehaviour({ kind: "exit", code: 0 }), files })]);
      await until("its end", async () => (await engine.snapshot()).workers.some((one) => one.job === attempt.job && one.state === "exited"));
      await engine.forget([attempt]);
      const now = Date.now.bind(Date);
      const since = now();
      // hour after hour: the first sweep may come before the pod's end was seen, and the next is due minutes later
      const later = vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000 * (1 + Math.floor((now() - since) / 5_000)));
      try {
        await until("the sweep", () => used(cluster.plane).has("delete configmaps of its namespace"), 18 * 3_600_000);
      } finally {
        later.mockRestore();
      }
      const all = granted(cluster.rules);
      expect(all.length).toBeGreaterThan(10);
      const once = used(cluster.plane);
      expect(all.filter((verb) => !once.has(verb))).toEqual([]);
    });
  });
});
