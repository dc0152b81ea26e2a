import { readdirSync, readFileSync } from "node:fs";
import { readCases } from "@muster/placement/scenarios/file/read";
import { variations } from "@muster/placement/scenarios/metamorphic";
import { playScenario } from "@muster/placement/scenarios/runner";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

/** The only case of a file. */
const read = (text: string) => readCases(parse(text))[0]!;

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".yaml"));

describe.each(files)("%s", (file) => {
  const cases = readCases(parse(readFileSync(new URL(file, import.meta.url), "utf8")));
  test.each(cases)("$id, in every way of telling it", ({ scenario, unread }) => {
    expect(unread).toBe("");
    expect(playScenario(scenario!)).toEqual([]);
    for (const { name, apply } of variations) expect(playScenario(apply(scenario!)), name).toEqual([]);
  });
});

describe("a file of cases", () => {
  test("is played whole: a case that expects something else says what differs", () => {
    const { scenario } = read(`
- id: wrong
  nodes: {n0: {gpu: 2}}
  running: [{job: a, prio: 1, req: {gpu: 2}, on: [n0]}]
  submit: [{job: b, prio: 2, req: {gpu: 2}}]
  expect: {keep: [a], pending: [b], evict: []}`);
    expect(playScenario(scenario!)).toEqual([
      'step 1: evicted: ["a"], expected []',
      "step 1: b runs, expected to wait",
      "step 1: a was disturbed",
      "step 1: a does not run",
    ]);
  });

  test("has short forms: numbers of jobs by queue, ranges, a whole cluster, fields of one queue", () => {
    const [one, other] = readCases(
      parse(`
- id: short
  cluster: 1 zone x 2 racks = 2 racks (r0..r1), 3 nodes per rack, 8 gpu per node
  queues: {A: {}, b: {nominal: {nvidia.com/gpu: 2}}}
  running: ["A: 3 jobs cpu=1 class2", "b1..b2 b cpu=2 each"]
  variants: {x: {b.reclaim_policy: never, submit: ["C: one gang of 4 x gpu=1"]}, y: same as x}`),
    );
    expect(one!.scenario).toMatchObject({
      queues: { A: {}, b: { nominal: { gpu: 2 }, reclaim: "never" } },
      running: [
        { job: "A", queue: "A", count: 3, cpu: 1, priority: 2 },
        { job: "b1", queue: "b", cpu: 2 },
        { job: "b2", queue: "b", cpu: 2 },
      ],
      steps: [{ submit: [{ job: "C", queue: "C", pods: 4, gpu: 1 }] }],
    });
    expect(Object.keys(one!.scenario!.nodes!)).toHaveLength(6);
    expect(one!.scenario!.nodes!["r1-n2"]).toEqual({ gpu: 8, at: { zone: "z0", rack: "r1" } });
    expect(other).toMatchObject({ scenario: null, unread: 'short/y: "same as x"' });
  });

  test.each([
    ["nodes: {n0: {tpu: 2}}", "case.nodes.n0.tpu: neither a resource nor a level of the fabric"],
    ["queues: {q: {nominal: {cpu: many}}}", "case.queues.q.nominal.cpu: a number is expected"],
    ["queues: {q: {reclaim_policy: often}}", "case.queues.q.reclaim_policy: must be one of"],
    ["submit: [{job: j, gpus: 2}]", "case.submit[0].gpus: not known here"],
    ["submit: [all of them]", 'case.submit[0]: "all of them"'],
    ["expect: everything starts", 'case.expect: "everything starts"'],
    ["expect: {place: {r9: 1}}", "case.expect.place"],
    ["event: a node fails", "case.event: not known here"],
  ])("says of what it cannot read where it stands: %s", (field, unread) => {
    expect(read(`- {id: case, ${field}}`).unread).toContain(unread);
  });
});
