import type { Scenario, ScenarioNode } from "./format.ts";

const rack = (racks: Record<string, string>, gpu: number): Record<string, ScenarioNode> =>
  Object.fromEntries(Object.entries(racks).map(([node, leaf]) => [node, { gpu, at: { leaf } }]));

const at = (spine: string, leaf: string, cpu = 1): ScenarioNode => ({ cpu, at: { spine, leaf: `${spine}/${leaf}` } });

/** Two blocks of two racks, unevenly filled. */
const uneven: Record<string, ScenarioNode> = {
  x3: at("b1", "r1"),
  x5: at("b1", "r2"),
  x1: at("b1", "r2"),
  x6: at("b1", "r2"),
  x2: at("b2", "r1"),
  x4: at("b2", "r2", 2),
};

/** One datacenter, two zones of two blocks of two racks of 18 nodes with two devices. */
const nvl: Record<string, ScenarioNode> = Object.fromEntries(
  Array.from({ length: 144 }, (_, i) => {
    const r = Math.floor(i / 18);
    return [`n${i}`, { gpu: 2, at: { leaf: `r${r}`, spine: `b${r >> 1}`, zone: `z${r >> 2}` } }];
  }),
);

/** Where gangs go in the fabric. */
export const topology: Scenario[] = [
  {
    id: "S20a",
    title: "a rack with room for all",
    source: "KAI allocateTopology_test",
    nodes: rack({ n0: "r1", n1: "r1", n2: "r2", n3: "r2" }, 1),
    queues: { q0: { nominal: { gpu: 8 } } },
    running: [{ job: "busy", queue: "q0", gpu: 1, on: ["n0"] }],
    steps: [{ submit: [{ job: "j", queue: "q0", pods: 2, gpu: 1, within: "leaf" }], expect: { start: { j: ["n2", "n3"] } } }],
  },
  {
    id: "S20b",
    title: "no rack with room: the reason counts every rack",
    source: "KAI allocateTopology_test",
    nodes: rack({ n0: "r1", n1: "r1", n2: "r2", n3: "r2" }, 2),
    queues: { q0: { nominal: { gpu: 8 } } },
    running: [
      { job: "x", queue: "q0", gpu: 1, on: ["n0"] },
      { job: "y", queue: "q0", gpu: 1, on: ["n2"] },
    ],
    steps: [
      {
        submit: [{ job: "j", queue: "q0", pods: 4, gpu: 1, within: "leaf" }],
        expect: {
          pending: ["j"],
          keep: ["x", "y"],
          explain: [
            {
              job: "j",
              reason: "topology_fragmented",
              says: ['"block":"r1","level":"leaf","fits":3,"needed":4', '"block":"r2","level":"leaf","fits":3,"needed":4'],
            },
          ],
        },
      },
    ],
  },
  {
    id: "S21a",
    title: "the tightest rack that fits",
    source: "Kueue tas_cache_test",
    nodes: uneven,
    queues: { q: {} },
    steps: [{ submit: [{ job: "j", pods: 2, cpu: 1, within: "leaf" }], expect: { place: { job: "j", level: "leaf", pods: { "b2/r2": 2 } } } }],
  },
  {
    id: "S21b",
    title: "too many for any rack",
    source: "Kueue tas_cache_test",
    nodes: uneven,
    queues: { q: {} },
    steps: [
      {
        submit: [{ job: "j", pods: 4, cpu: 1, within: "leaf" }],
        expect: { pending: ["j"], explain: [{ job: "j", reason: "exceeds_topology", says: ["4", "3"] }] },
      },
    ],
  },
  {
    id: "S21c",
    title: "preferred widens from rack to block to all",
    source: "Kueue tas_cache_test",
    nodes: uneven,
    queues: { q: {} },
    steps: [
      {
        submit: [{ job: "j", pods: 6, cpu: 1, within: "?leaf" }],
        expect: { place: { job: "j", level: "leaf", pods: { "b1/r1": 1, "b1/r2": 3, "b2/r2": 2 } } },
      },
    ],
  },
  {
    id: "S21d",
    title: "the roomiest block first, then the tightest that takes the rest",
    source: "Kueue tas_cache_test",
    queues: { q: {} },
    nodes: { n1: { cpu: 2, at: { spine: "b1" } }, n2: { cpu: 1, at: { spine: "b2" } }, n3: { cpu: 4, at: { spine: "b3" } } },
    steps: [{ submit: [{ job: "j", pods: 5, cpu: 1, within: "?spine" }], expect: { place: { job: "j", level: "spine", pods: { b3: 4, b2: 1 } } } }],
  },
  {
    id: "S21e",
    title: "one rack of four nodes before two racks of one large node each",
    source: "Kueue tas_cache_test",
    queues: { q: {} },
    nodes: { x3: at("b", "r1", 2), x5: at("b", "r2", 2), x1: at("b", "r3"), x6: at("b", "r3"), x2: at("b", "r3"), x4: at("b", "r3") },
    steps: [{ submit: [{ job: "j", pods: 4, cpu: 1, within: "spine" }], expect: { start: { j: ["x1", "x6", "x2", "x4"] } } }],
  },
  {
    id: "S22",
    title: "slices in slices: groups of 16 in a rack, of 48 in a zone",
    source: "Kueue tas_cache_test, GB200",
    nodes: nvl,
    queues: { q: {} },
    byName: true,
    steps: [
      {
        submit: [
          {
            job: "j",
            pods: 96,
            gpu: 2,
            slices: [
              { pods: 48, within: "zone" },
              { pods: 16, within: "leaf" },
            ],
          },
        ],
        expect: {
          place: { job: "j", level: "leaf", pods: { r0: 16, r1: 16, r2: 16, r4: 16, r5: 16, r6: 16 } },
          together: [
            { job: "j", pods: 48, within: "zone" },
            { job: "j", pods: 16, within: "leaf" },
          ],
        },
      },
    ],
  },
  ...[
    { id: "S23a", on: ["x0", "x2"], expect: { start: { j: ["x2", "x3"] }, evict: [] } },
    {
      id: "S23b",
      on: ["x0", "x1"],
      expect: {
        start: { j: ["x1"] },
        evict: [],
        explain: [
          {
            job: "j",
            reason: "topology_fragmented" as const,
            says: ["no room for 1 lost", "1 nodes: too few free cpus", "5 nodes: outside the required leaf"],
          },
        ],
      },
    },
  ].map(
    ({ id, on, expect }): Scenario => ({
      id,
      title: "only the lost member is replaced, inside the rack of the others",
      source: "Kueue scheduler_tas_test, second pass",
      byName: true,
      nodes: {
        x0: at("b1", on[1] === "x1" ? "r1" : "r2"),
        x1: at("b1", "r1"),
        x2: at("b1", "r2"),
        x3: at("b1", "r2"),
        x4: at("b1", "r2"),
        x5: at("b2", "r1"),
        x6: at("b2", "r2", 2),
      },
      queues: { q: {} },
      running: [{ job: "j", pods: 2, cpu: 1, within: "leaf", on }],
      steps: [{ fail: ["x0"], expect }],
    }),
  ),
];

/** Running jobs are moved together when a waiting one starts by it. */
export const consolidation: Scenario[] = [
  {
    id: "S25a",
    title: "one move makes room for one job, and no more are made",
    source: "KAI consolidation_test",
    nodes: { n0: { gpu: 4 }, n1: { gpu: 4 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    running: [
      { job: "r0", queue: "q0", gpu: 2, on: ["n0"] },
      { job: "r1", queue: "q0", gpu: 2, on: ["n1"] },
    ],
    steps: [
      {
        submit: [
          { job: "p0", queue: "q0", gpu: 3 },
          { job: "p1", queue: "q0", gpu: 2 },
        ],
        expect: { moveOneOf: ["r0", "r1"], evict: [], start: ["p0", "r0", "r1"], pending: ["p1"] },
      },
    ],
  },
  {
    id: "S25b",
    title: "nothing is moved where that gives no room",
    source: "KAI consolidation_test",
    nodes: { n0: { gpu: 4 }, n1: { gpu: 4 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    running: [
      { job: "r0", queue: "q0", gpu: 3, on: ["n0"] },
      { job: "r1", queue: "q0", gpu: 3, on: ["n1"] },
    ],
    steps: [{ submit: [{ job: "p0", queue: "q0", gpu: 3 }], expect: { keep: ["r0", "r1"], pending: ["p0"] } }],
  },
  {
    id: "S25c",
    title: "more urgent work is not moved for less urgent",
    source: "KAI consolidation_test",
    nodes: { n0: { gpu: 4 }, n1: { gpu: 4 } },
    queues: { q0: { nominal: { gpu: 2 } } },
    running: [
      { job: "train", queue: "q0", priority: 50, gpu: 2, on: ["n0"] },
      { job: "interactive", queue: "q0", priority: 75, gpu: 2, on: ["n1"] },
    ],
    steps: [
      {
        submit: [{ job: "p0", queue: "q0", priority: 50, gpu: 3 }],
        expect: { move: { train: ["n1"] }, keep: ["interactive"], evict: [], start: { p0: ["n0"] } },
      },
    ],
  },
  {
    id: "N01",
    title: "small neighbours change places where a moved job finds no home else",
    source: "ours",
    nodes: { n0: { gpu: 8 }, n1: { gpu: 8 }, n2: { gpu: 8 } },
    queues: { q: {} },
    running: [
      { job: "a", gpu: 4, on: ["n0"] },
      { job: "b", gpu: 1, on: ["n1"] },
      { job: "c", gpu: 4, on: ["n1"] },
      { job: "d", gpu: 7, preemptible: false, on: ["n2"] },
    ],
    steps: [
      {
        submit: [{ job: "whole", gpu: 8, priority: 1 }],
        expect: { start: { whole: ["n0"] }, move: { a: ["n1"], b: ["n2"] }, evict: [], keep: ["c", "d"] },
      },
    ],
  },
];
