import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { conformanceStart, engineConformance } from "@muster/engine/conformance";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { Thing } from "./control-plane/api-client.ts";
import { realBehaviour } from "./behaviour.ts";
import { EngineCluster, SUPERVISOR, until } from "./engine-cluster.ts";
import { noControlPlane } from "./ready.ts";

const AUDIT = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", users: [SUPERVISOR] }, { level: "None" }],
};

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
    const asked = (): Thing[] =>
      readFileSync(cluster.plane.auditLog, "utf8")
        .split("\n")
        .flatMap((line) => (line.endsWith("}") ? [JSON.parse(line)] : []))
        .filter((one) => one.objectRef);
    const used = (): Set<string> =>
      new Set(
        asked().map(({ verb, objectRef: { resource, subresource, namespace } }) =>
          named(verb, subresource ? `${resource}/${subresource}` : resource, namespace !== undefined),
        ),
      );

    it("allows all that the engine asked for", () => {
      expect(asked().length).toBeGreaterThan(100);
      // what other operators' objects a supervisor may use it finds out by asking
      const own = asked().filter(({ objectRef }) => objectRef.apiGroup === undefined);
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
        await until("the sweep", () => used().has("delete configmaps of its namespace"), 18 * 3_600_000);
      } finally {
        later.mockRestore();
      }
      const granted = cluster.rules.flatMap((role) =>
        role.rules.flatMap((rule: Thing) =>
          rule.resources.flatMap((resource: string) => rule.verbs.map((verb: string) => named(verb, resource, role.kind === "Role"))),
        ),
      );
      expect(granted.length).toBeGreaterThan(10);
      expect(granted.filter((verb) => !used().has(verb))).toEqual([]);
    });
  });
});

function named(verb: string, resource: string, namespaced: boolean): string {
  return `${verb} ${resource} of ${namespaced ? "its namespace" : "all"}`;
}
