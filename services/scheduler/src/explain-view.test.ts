import { createEngine, type JobInput } from "@muster/placement";
import { expect, test } from "vitest";
import { explainBody } from "./explain-view.ts";

test("a job that is too large for the cluster is told so, and of the fabric only where it asks something of that", () => {
  const engine = createEngine();
  engine.putQueue({ id: "q" });
  for (const leaf of ["a", "b"])
    engine.putNode({
      id: `n-${leaf}`,
      pool: "p",
      accelerator: "h800",
      devices: 8,
      cpuMillis: 8000,
      memoryBytes: 2 ** 30,
      schedulable: true,
      fabric: { leaf, spine: "s", zone: "z" },
    });
  const job = (id: string, nodes: number, more: Partial<JobInput> = {}): JobInput => ({
    id,
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: 0,
    roles: [{ name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: 8, cpuMillis: 1000, memoryBytes: 1 } }],
    ...more,
  });
  const next = (input: JobInput): string => {
    engine.submit(input);
    engine.cycle(1);
    const explanation = engine.explain(input.id);
    expect(explanation.reason).toBe("exceeds_topology");
    return explainBody(explanation, input, input.id).next_step;
  };
  expect(next(job("large", 3))).toBe("Ask for fewer or smaller nodes, or register more of them.");
  expect(next(job("close", 2, { within: { within: "leaf", mode: "required" } }))).toContain("wider level of the fabric");
});
