import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { applyDocument, resolveJobSpec } from "@muster/model";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";

const here = import.meta.dirname;
const documents = parseAllDocuments(readFileSync(join(here, "cluster.yaml"), "utf8")).map((document) => applyDocument.parse(document.toJS()));
const nodes = documents.filter((document) => document.kind === "node");
const pools = documents.filter((document) => document.kind === "pool");
const queues = documents.filter((document) => document.kind === "queue");

function jobOf(file: string): unknown {
  return parseAllDocuments(readFileSync(join(here, "jobs", file), "utf8"))[0]?.toJS();
}

describe("the demo's files", () => {
  it("describe three pools of different makers, each node at its place in a fabric", () => {
    expect(pools.map((pool) => [pool.name, pool.vendor, nodes.filter((node) => node.pool === pool.name).length])).toEqual([
      ["h800", "nvidia", 4],
      ["ascend-910b", "ascend", 4],
      ["mi300x", "amd", 2],
    ]);
    for (const node of nodes) expect(node.fabric).toHaveLength(pools.find((pool) => pool.name === node.pool)?.fabric_levels.length ?? 0);
    expect(new Set(nodes.map((node) => node.name)).size).toBe(10);
  });

  it.each(readdirSync(join(here, "jobs")))("%s is a job that the cluster could run", (file) => {
    const parsed = resolveJobSpec(jobOf(file));
    expect(parsed).toMatchObject({ ok: true });
    if (!parsed.ok) return;
    const role = parsed.value.variants[0]?.roles[0];
    const fitting = nodes.filter(
      (node) =>
        node.pool === role?.accelerator &&
        node.devices >= role.resources.accelerators &&
        node.cpus >= role.resources.cpus &&
        node.memory >= role.resources.memory,
    );
    expect(fitting.length).toBeGreaterThanOrEqual(role?.nodes.min ?? Infinity);
    const queue = queues.find((each) => each.name === parsed.value.queue);
    expect(queue?.projects).toContain(parsed.value.project);
  });

  it("let the last job wait until the training run has ended, and no longer", () => {
    const nodesOf = (file: string): number => {
      const parsed = resolveJobSpec(jobOf(file));
      return parsed.ok ? (parsed.value.variants[0]?.roles[0]?.nodes.min ?? 0) : 0;
    };
    const all = nodes.filter((node) => node.pool === "h800").length;
    expect(nodesOf("train.yaml") + nodesOf("waits.yaml")).toBeGreaterThan(all);
    expect(nodesOf("waits.yaml")).toBeLessThanOrEqual(all);
  });
});
